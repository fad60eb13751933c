"""Who starts servers and ends them: one interface, whether they are processes of this machine or pods of a cluster."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.run.events import Reporter
from globe.serving.place import Place
from globe.serving.process import SERVERS_VARIABLE, Processes, records_folder
from globe.serving.recipe import ServingRecipe
from globe.serving.requested import REQUESTED_VARIABLE, Requests


class Launcher(Protocol):
    """Starts a run's servers somewhere, finds them again in a later task, and ends them."""

    @property
    def logs(self) -> Path:
        """Folder for the stage's log where the run has none for all stages."""

    def start(self, models: Mapping[str, Checkpoint], recipe: ServingRecipe, reporter: Reporter, *, wait: bool) -> dict[str, str]:
        """Start a server for each model.

        Args:
            models: Checkpoint by the model name it is served under.
            recipe: Serving settings.
            reporter: Told what is being waited for.
            wait: False allows to return before the servers answer.

        Returns:
            Base URL, which ends in /v1, by model name.

        Raises:
            GlobeError: One did not start, with its reason; none of them is left running then.
        """

    def stop(self, only: str = "") -> list[str]:
        """End the servers of this run, or the one of a model; returns the models whose server was there."""

    def require_alive(self, model: str) -> None:
        """Raise `GlobeError` with its last words when the server of a model has ended for good."""


def find_launcher(place: Place) -> Launcher:
    """The launcher for where this process runs.

    Args:
        place: What the stage was told about where it serves.

    Returns:
        Processes for a run of `python -m pipelines run`, which names a folder for their records; else pods of the cluster.

    Raises:
        GlobeError: There is neither.
    """
    records = records_folder()
    if records and os.environ.get(REQUESTED_VARIABLE):
        return Requests(records)
    if records:
        return Processes(records)
    if place.cluster:
        from globe.serving.deploy import deployments  # its imports take a second, and only a cluster needs them

        return deployments(place)
    raise GlobeError(
        f"nowhere to serve: {SERVERS_VARIABLE} is not set, as `python -m pipelines run` does, and no cluster settings are given, "
        "as a profile's `cluster` section does"
    )
