"""Stage tear-down: whatever happened, no server outlives its run."""

from globe.run.cluster import Place
from globe.run.events import emit
from globe.serving.servers import end


def teardown(place: Place, store: str = "") -> None:
    """End every server that the run has started.

    Args:
        place: Where it has.
        store: Folder or s3:// prefix with the run's records, for what they have used; empty for none.
    """
    stopped = end(place, store)
    emit(
        "teardown",
        "done",
        figure=f"ended the servers of {', '.join(stopped)}" if stopped else "no server was running",
        seconds=0.0,
    )
