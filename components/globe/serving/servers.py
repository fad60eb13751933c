"""A run's servers, be they processes of this machine or pods of a cluster: start them, watch them, find who can end them.

A server is started only when somebody will ask it: where the stage that would ask is finished already, there is nothing to
serve. Serving is a state, not a result, so none of it is recorded in the store.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Place
from globe.run.events import Reporter, emit
from globe.run.stage import stage_events
from globe.serving.process import SERVERS_VARIABLE, Processes, records_folder
from globe.serving.recipe import ServingRecipe
from globe.serving.requested import REQUESTED_VARIABLE, Requests
from globe.serving.server_key import local_key, read_key, stored_key


class Launcher(Protocol):
    """Starts a run's servers as processes or pods, finds them again in a later task, and ends them."""

    @property
    def logs(self) -> Path:
        """Folder for the stage's log where the run has no common one."""

    def start(self, models: Mapping[str, Checkpoint], recipe: ServingRecipe, reporter: Reporter, *, wait: bool) -> dict[str, str]:
        """Start a server for each model.

        Args:
            models: Checkpoint by the model name it is served under.
            recipe: Serving settings.
            reporter: Told what is being waited for.
            wait: False may return before the servers answer.

        Returns:
            Base URL, which ends in /v1, by model name.

        Raises:
            GlobeError: One did not start, with its reason; none of them is left running then.
        """

    def stop(self, only: str = "") -> list[str]:
        """End the servers of this run, or of one model. Returns the models whose server was there."""

    def require_alive(self, model: str) -> None:
        """Raise `GlobeError` with its last words when the server of a model has ended for good."""


def serve(
    stage: str,
    models: Mapping[str, Checkpoint],
    recipe: ServingRecipe,
    place: Place,
    *,
    needed: bool,
    reason: str,
    wait: bool = True,
) -> dict[str, str]:
    """Serve checkpoints until the run ends.

    Args:
        stage: Name of the stage, for the user.
        models: Checkpoint by the model name it is served under.
        recipe: Serving settings.
        place: Where to serve.
        needed: False when nobody will ask.
        reason: Why not, then.
        wait: False when whoever will ask waits for the servers itself, and has something to do meanwhile.

    Returns:
        Base URL by model name; empty when not needed.

    Raises:
        InputError: Loading a model would run code that lies in its folder.
    """
    if not needed:
        emit(stage, "skipped", figure=reason)
        return {}
    launcher = find_launcher(place)
    with stage_events(stage, launcher.logs) as reporter:
        started = time.monotonic()
        for model in models.values():
            model.check_folder()  # here, since neither a pod nor a container has more than vLLM to look with
        reporter.note(f"starting vLLM for {', '.join(models)}")
        urls = launcher.start(models, recipe, reporter, wait=wait)
        seconds = round(time.monotonic() - started, 1)
    figure = f"vLLM {'serves' if wait else 'starts for'} {', '.join(models)}"
    emit(stage, "done", figure=figure, seconds=seconds, output=" ".join(urls.values()))
    return urls


def watch(model: str) -> Callable[[], None]:
    """A check, for a stage to call again and again, that the server of a model that this run has started still runs.

    Args:
        model: The model's name.

    Returns:
        A function that raises `GlobeError` with the server's last lines once it has ended. On a cluster it does nothing: there
        a server that ends is started again, and the stage that asks it has no right to look at pods.
    """
    if not records_folder():
        return lambda: None
    launcher = find_launcher(Place())
    return lambda: launcher.require_alive(model)


def run_key(model: str, store: str) -> str:
    """The key of a server that this run has started, for a stage that asks it.

    Args:
        model: The model's name.
        store: Folder or s3:// prefix that keeps the results of all stages, and on a cluster the key.

    Raises:
        GlobeError: The run has started no such server, or has ended it.
    """
    folder = records_folder()
    return read_key(local_key(folder, model) if folder else stored_key(store, "", model), model)


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
