"""Stage tear-down: whatever happened, no server outlives its run."""

from globe.run.cluster import Place
from globe.run.events import emit
from globe.serving.servers import find_launcher


def teardown(place: Place, *, servers: bool = True) -> None:
    """End every server that the run has started.

    Args:
        place: Where they are.
        servers: Whether the pipeline starts any; where it does not, nothing need be able to look for them.
    """
    stopped = find_launcher(place).stop() if servers else []
    emit(
        "teardown",
        "done",
        figure=f"ended the servers of {', '.join(stopped)}" if stopped else "no server was running",
        seconds=0.0,
    )
