"""What the training stages have in common: each trains once and publishes once, however often it is killed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError
from globe.files import digests_kept, write_json
from globe.models.checkpoints import MANIFEST_FILE, Checkpoint, Usage, read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.run.events import Reporter
from globe.run.exporter import tell_step
from globe.signing import is_signing, place_in_store, require_signed, signed
from globe.training.measured import best_first
from globe.training.pace import Pace, in_words
from globe.training.trainer_checkpoints import (
    OUTPUT,
    TRAINER_FILES,
    hashes,
    holds,
    last_checkpoint,
    read_history,
    regular_files,
    step_of,
)

CHECKPOINT = "checkpoint"
HISTORY_FILE = "history.json"
"""What the trainer logged at each step, from the first to the last."""
TRAINED, TRAINED_FILE = "trained", "trained.json"
"""Written when the checkpoint is published, where the run has a signing key: the sha256 of its files and its history, signed."""

History = list[dict[str, Any]]
StepCallback = Callable[[int, int, dict[str, Any]], None]
"""Called with the step, the number of steps, and ms-swift's metrics of the step."""


def train_once(
    folder: Path,
    *,
    base: Checkpoint,
    recipe: str,
    train: Callable[[], Path],
    write: Callable[[Path, Path], None],
    usage: Usage = Usage(),
) -> tuple[Checkpoint, History]:
    """Train and publish the stage's checkpoint, or take the one that an earlier call published before it was killed.

    It is the one that was best on held-out rows, or the last where nothing was measured; the history has all steps. The trainer's
    own checkpoints are removed only afterwards, so no step that was saved is ever trained again.

    Args:
        folder: The stage's folder.
        base: What training starts from.
        recipe: Name of the recipe, for the manifest.
        train: Starts or resumes the training, and returns the trainer's last checkpoint.
        write: Makes a model folder of a trainer's checkpoint (first argument) at a path that does not exist yet (second).
        usage: How the model is asked and served, for the manifest.

    Returns:
        The published checkpoint, and what was logged.
    """
    target, history = folder / CHECKPOINT, folder / HISTORY_FILE
    if _is_published(folder):
        return read_checkpoint(target), _read(history)
    last = train()
    write_json(history, read_history(last))
    final = best_checkpoint(last)
    shutil.rmtree(target, ignore_errors=True)  # an incomplete one, left by a kill
    with digests_kept(path for path in final.iterdir() if path.is_file()):  # a run with a signing key has sealed them
        write(final, target)
        for path in target.rglob("*"):
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))  # safetensors' files are their owner's alone
    checkpoint = publish_checkpoint(
        target, base_model=base.base_model, recipe=recipe, parent=base.digest, step=step_of(final), usage=usage
    )
    if is_signing():
        write_json(folder / TRAINED_FILE, signed(_proof(folder), place_in_store(TRAINED, folder)))
    with digests_kept(target.iterdir()):  # the published weights are second names of the trainer's
        for old in final.parent.glob("checkpoint-*"):
            shutil.rmtree(old)
    return checkpoint, _read(history)


def best_checkpoint(last: Path) -> Path:
    """Of a training's checkpoints the one that was best on held-out rows; the last one where nothing was measured.

    Args:
        last: The training's last checkpoint, whose history has every measurement.
    """
    measured = (last.with_name(f"checkpoint-{step}") for step in best_first(read_history(last)))
    return next((path for path in measured if path == last or holds(path)), last)


def newest_saved(folder: Path) -> list[Path]:
    """What a killed training stage goes on from: what a run with a signing key has published, or its trainer's last checkpoint.

    The best one so far is needed, too: it may be the one that is published in the end.

    With a signing key, it is only what a signature of its own vouches for.
    """
    if is_signing() and _is_published(folder):
        return [folder / CHECKPOINT, folder / HISTORY_FILE, folder / TRAINED_FILE]
    newest = last_checkpoint(folder / OUTPUT)
    return list(dict.fromkeys((newest, best_checkpoint(newest)))) if newest else []


def _is_published(folder: Path) -> bool:
    """Whether an earlier call has published the stage's checkpoint, and it is still that one."""
    if not is_signing():
        return (folder / HISTORY_FILE).is_file() and is_whole(folder / CHECKPOINT)
    path = folder / TRAINED_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        require_signed(record, place_in_store(TRAINED, folder), path)
        return bool(record["files"] == _proof(folder)["files"])
    except (GlobeError, OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return False


def _proof(folder: Path) -> dict[str, Any]:
    published = (f"{CHECKPOINT}/{name}" for name in regular_files(folder / CHECKPOINT))
    return {"files": hashes(folder, [HISTORY_FILE, *published])}


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a published checkpoint with all its files."""
    try:
        return (folder / MANIFEST_FILE).is_file() and read_checkpoint(folder) is not None
    except InputError:
        return False


def copy_model(trained: Path, target: Path) -> None:
    """Make a model folder of the trainer's checkpoint, without the files that only a resumed training needs.

    Weights of any size cost nothing as hard links; where the file system has none, they are copied.
    """
    shutil.copytree(trained, target, ignore=shutil.ignore_patterns(*TRAINER_FILES), copy_function=link_or_copy)


def ignored(step: int, steps: int, values: dict[str, Any]) -> None:
    """A callback for steps that nobody listens to."""


def progress_of(reporter: Reporter, name: str, also: StepCallback = ignored) -> StepCallback:
    """A callback that reports a figure of each step that logs it, and the time left, and tells another callback of all."""
    pace = Pace()

    def on_step(step: int, steps: int, values: dict[str, Any]) -> None:
        also(step, steps, values)
        tell_step(reporter.stage, step, steps, values)
        if name in values:
            left = in_words(pace.left_s(step, steps))
            reporter.progress(step, steps, f"{name} {values[name]:.3f}{', ' if left else ''}{left}")

    return on_step


def last_value(history: History, name: str) -> float | None:
    """The last logged value of a figure; None when it was never logged."""
    return next((float(values[name]) for values in reversed(history) if name in values), None)


def link_or_copy(source: str, target: str) -> None:
    """Hard-link a file, or copy it where the file system has no hard links."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def history_of(folder: Path) -> History:
    """What the trainer of a finished stage logged at each step; nothing if an earlier version did not keep it."""
    path = folder / HISTORY_FILE
    return _read(path) if path.is_file() else []


def _read(history: Path) -> History:
    return list(json.loads(history.read_text(encoding="utf-8")))
