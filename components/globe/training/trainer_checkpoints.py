"""The trainer's own checkpoints, from which a killed training resumes: which of them are whole.

A kill may come while a checkpoint is being written, or while an old one is being removed. So each gets a mark once all of it is
written: the step, and the size of every file. A folder without a mark, or with other files than its mark says, does not count.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.files import write_json

CALLBACK = "globe_steps"
"""ms-swift's name of the callback that writes the marks."""
MARK_FILE = "whole.json"
OUTPUT = "swift"
"""Subfolder of a stage's folder that the trainer writes to."""
STATE_FILE = "trainer_state.json"
TRAINER_FILES = (
    *(MARK_FILE, STATE_FILE, "optimizer*", "scheduler.pt", "scaler.pt", "rng_state*", "training_args.bin", "global_step*"),
    *("latest", "zero_to_fp32.py", "args.json"),
)
"""Files that only a resumed training needs, or that name folders of this machine: never part of a published checkpoint."""


@dataclass(frozen=True)
class Mark:
    """What a whole checkpoint says about itself."""

    step: int
    max_steps: int
    processes: int
    """How many processes trained: another number would change the batches."""
    files: dict[str, int]
    """Size in bytes by name relative to the checkpoint."""


def mark_whole(checkpoint: Path, step: int, max_steps: int, processes: int = 1) -> None:
    """Mark a checkpoint that is completely written."""
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
    """Remove checkpoints that a kill left half written or half removed."""
    for path in _checkpoints(output):
        if not read_mark(path):
            shutil.rmtree(path)


def remove_older(checkpoint: Path) -> None:
    """Keep a checkpoint and the one before it.

    We go by their steps and leave none of it to the trainer: it goes by the folders' times, and when a clock has been set back it
    removes the checkpoint that it has just written.
    """
    step = step_of(checkpoint)
    older = sorted((path for path in _checkpoints(checkpoint.parent) if step_of(path) < step), key=step_of)
    for path in older[:-1]:
        shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """The step at which a checkpoint was made."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def read_history(checkpoint: Path) -> list[dict[str, Any]]:
    """What was logged at each step from the first to this checkpoint's, across all resumes."""
    return list(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))["log_history"])


def _checkpoints(output: Path) -> list[Path]:
    return [path for path in output.glob("checkpoint-*") if path.name.rsplit("-", 1)[1].isdigit() and not path.is_symlink()]


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(MARK_FILE))
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
