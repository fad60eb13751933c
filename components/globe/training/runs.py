"""What the training stages do alike after ms-swift has ended."""

import shutil
from pathlib import Path
from typing import Any

from globe.training.checkpoints import Checkpoint, publish_checkpoint

TRAINER_FILES = (
    "optimizer.pt",
    "scheduler.pt",
    "rng_state*",
    "trainer_state.json",
    "training_args.bin",
    "global_step*",
    "latest",
)
"""What only going on with training needs: never part of a published checkpoint."""


def publish_final(final: Path, folder: Path, *, base: Checkpoint, recipe: str) -> Checkpoint:
    """Make the last training checkpoint the stage's one: `folder/checkpoint`, without the optimiser's state.

    A hard link costs nothing for weights of any size; where the file system has none, the file is copied. The training's
    own checkpoints are removed afterwards.
    """
    target = folder / "checkpoint"
    shutil.rmtree(target, ignore_errors=True)  # half of one, left by a kill
    shutil.copytree(final, target, ignore=shutil.ignore_patterns(*TRAINER_FILES), copy_function=_link)
    for path in target.rglob("*"):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))  # safetensors are written for their owner alone
    step = int(final.name.rsplit("-", 1)[1])
    checkpoint = publish_checkpoint(target, base_model=base.base_model, recipe=recipe, parent=base.digest, step=step)
    for old in final.parent.glob("checkpoint-*"):
        shutil.rmtree(old)
    return checkpoint


def step_figure(values: dict[str, Any], name: str) -> str:
    """The key figure of a training step as a short text, empty where the step has none."""
    return f"{name} {values[name]:.3f}" if isinstance(values.get(name), int | float) else ""


def _link(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
