"""Servers of a run, wherever they are: start them, watch them, end them.

A server is started only when somebody will ask it: where the stage that would ask is finished already, there is nothing to
serve. Serving is a state, not a result, so none of these is recorded in the store.
"""

import time
from collections.abc import Callable, Mapping

from globe.models.checkpoints import Checkpoint
from globe.run.events import emit
from globe.run.stage import stage_events
from globe.serving.launcher import find_launcher
from globe.serving.place import Place
from globe.serving.process import records_folder
from globe.serving.recipe import ServingRecipe


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
        wait: False when those who will ask wait for the servers themselves, and have something to do meanwhile.

    Returns:
        Base URL by model name; empty when not needed.
    """
    if not needed:
        emit(stage, "skipped", figure=reason)
        return {}
    launcher = find_launcher(place)
    with stage_events(stage, launcher.logs) as reporter:
        started = time.monotonic()
        reporter.note(f"starting vLLM for {', '.join(models)}")
        urls = launcher.start(models, recipe, reporter, wait=wait)
        seconds = round(time.monotonic() - started, 1)
    figure = f"vLLM {'serves' if wait else 'starts for'} {', '.join(models)}"
    emit(stage, "done", figure=figure, seconds=seconds, output=" ".join(urls.values()))
    return urls


def watch(model: str) -> Callable[[], None]:
    """A check, for a stage to call all the while, that the server of a model which this run has started still runs.

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


def stop_one(stage: str, model: str, place: Place) -> None:
    """End the server of one model, when the stage that asked it is finished.

    Args:
        stage: Name of the stage that started it, for the user.
        model: The model's name.
        place: Where it serves.
    """
    if find_launcher(place).stop(only=model):
        emit(stage, "note", figure="served its purpose, ended")


def tear_down(stage: str, place: Place) -> None:
    """End every server that this run has started."""
    stopped = find_launcher(place).stop()
    emit(stage, "done", figure=f"ended the servers of {', '.join(stopped)}" if stopped else "no server was running", seconds=0.0)
