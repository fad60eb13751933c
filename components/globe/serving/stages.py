"""Stages reward service, serving and tear-down, with servers as processes of this machine.

A server is started only when somebody will ask it: where the stage that would ask is finished already, there is nothing to
serve. Serving is a state, not a result, so none of these is recorded in the store.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from globe.errors import GlobeError
from globe.events import emit
from globe.serving.process import SERVERS_VARIABLE, records_folder, require_alive, start_servers, stop_servers
from globe.serving.recipe import ServingRecipe
from globe.stage import stage_events
from globe.training.checkpoints import Checkpoint


def serve(
    stage: str, models: Mapping[str, Checkpoint], recipe: ServingRecipe, *, needed: bool, reason: str, wait: bool = True
) -> dict[str, str]:
    """Serve checkpoints until the run ends.

    Args:
        stage: Name of the stage, for the user.
        models: Checkpoint by the model name it is served under.
        recipe: Serving settings.
        needed: False when nobody will ask.
        reason: Why not, then.
        wait: False when those who will ask wait for the servers themselves, and have something to do meanwhile.

    Returns:
        Base URL by model name; empty when not needed.
    """
    if not needed:
        emit(stage, "skipped", figure=reason)
        return {}
    records = _records()
    with stage_events(stage, records) as reporter:
        started = time.monotonic()
        reporter.note(f"starting vLLM for {', '.join(models)}")
        servers = start_servers(models, recipe, reporter.log.parent, records, wait=wait)
        urls = {server.name: server.url for server in servers}
        seconds = round(time.monotonic() - started, 1)
    figure = f"vLLM {'serves' if wait else 'starts for'} {', '.join(models)}"
    emit(stage, "done", figure=figure, seconds=seconds, output=" ".join(urls.values()))
    return urls


def watch(model: str) -> Callable[[], None]:
    """A check, for a stage to call all the while, that the server of a model which this run has started still runs.

    Args:
        model: The model's name.

    Returns:
        A function that raises `GlobeError` with the server's last lines once it has ended; outside a local run it does nothing.
    """
    records = records_folder()
    return (lambda: require_alive(records, model)) if records else (lambda: None)


def stop_one(stage: str, model: str) -> None:
    """End the server of one model, when the stage that asked it is finished.

    Args:
        stage: Name of the stage that started it, for the user.
        model: The model's name.
    """
    if stop_servers(_records(), only=model):
        emit(stage, "note", figure="served its purpose, ended")


def tear_down(stage: str) -> None:
    """End every server that this run has started."""
    stopped = stop_servers(_records())
    emit(stage, "done", figure=f"ended the servers of {', '.join(stopped)}" if stopped else "no server was running", seconds=0.0)


def _records() -> Path:
    folder = records_folder()
    if not folder:
        raise GlobeError(f"{SERVERS_VARIABLE} is not set: servers as local processes belong to `python -m pipelines run`")
    return folder
