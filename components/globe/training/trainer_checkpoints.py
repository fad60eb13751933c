"""The trainer's own checkpoints, from which a killed training goes on: which of them are whole.

A kill may come while a checkpoint is written, or while an old one is removed. So each gets a mark when all of it is written: the
step, and the size of every file. A folder that has no mark, or is not as its mark says, is no checkpoint.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.files import write_json

CALLBACK = "globe_steps"
"""Name under which ms-swift knows the callback that writes the marks."""
MARK_FILE = "whole.json"
OUTPUT = "swift"
"""Subfolder of a stage's folder that the trainer writes to."""
STATE_FILE = "trainer_state.json"
TRAINER_FILES = (
    *(MARK_FILE, STATE_FILE, "optimizer*", "scheduler.pt", "scaler.pt", "rng_state*", "training_args.bin", "global_step*"),
    *("latest", "zero_to_fp32.py", "args.json"),
)
"""What only going on with training needs, or names folders of this machine: never part of a published checkpoint."""


@dataclass(frozen=True)
class Mark:
    """What a whole checkpoint says of itself."""

    step: int
    max_steps: int
    processes: int
    """How many processes trained: with another number the batches would be others."""
    files: dict[str, int]
    """Size in bytes by name relative to the checkpoint."""


def mark_whole(checkpoint: Path, step: int, max_steps: int, processes: int = 1) -> None:
    """Mark a checkpoint that is written to its end."""
    mark = {"step": step, "max_steps": max_steps, "processes": processes, "files": _sizes(checkpoint)}
    write_json(checkpoint / MARK_FILE, mark)


def read_mark(checkpoint: Path) -> Mark | None:
    """The mark of a checkpoint; None unless it is whole."""
    try:
        mark = Mark(**json.loads((checkpoint / MARK_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    sizes = _sizes(checkpoint)
    return mark if all(sizes.get(name) == size for name, size in mark.files.items()) else None


def last_checkpoint(output: Path) -> Path | None:
    """The newest whole checkpoint below a training's output folder."""
    whole = [path for path in _checkpoints(output) if read_mark(path)]
    return max(whole, key=step_of, default=None)


def newest_saved(folder: Path) -> Path | None:
    """The newest whole checkpoint in a training stage's folder."""
    return last_checkpoint(folder / OUTPUT)


def remove_torn(output: Path) -> None:
    """Remove checkpoints that a kill has left half written or half removed."""
    for path in _checkpoints(output):
        if not read_mark(path):
            shutil.rmtree(path)


def remove_older(checkpoint: Path) -> None:
    """Keep a checkpoint and the one before it.

    By their steps, as nobody but us may: the trainer itself goes by the folders' times, and where a clock was set back it removes
    the checkpoint that it has just written.
    """
    step = step_of(checkpoint)
    older = sorted((path for path in _checkpoints(checkpoint.parent) if step_of(path) < step), key=step_of)
    for path in older[:-1]:
        shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint was made at."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def read_history(checkpoint: Path) -> list[dict[str, Any]]:
    """What was logged at each step from the very first to this checkpoint's, whatever kills came in between."""
    return list(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))["log_history"])


def _checkpoints(output: Path) -> list[Path]:
    return [path for path in output.glob("checkpoint-*") if path.name.rsplit("-", 1)[1].isdigit() and not path.is_symlink()]


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(MARK_FILE))
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
