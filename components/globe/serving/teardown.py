"""Stage tear-down: whatever happened, no server outlives its run."""

from globe.serving.place import Place
from globe.serving.servers import tear_down


def teardown(place: Place) -> None:
    """End every server that the run has started."""
    tear_down("teardown", place)
