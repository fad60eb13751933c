"""What a training tells the people who use its model: handed to `globe.models.usable` with what was logged."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from globe.data.rows import Row
from globe.models.card import Training
from globe.models.checkpoints import Checkpoint
from globe.models.usable import make_usable
from globe.training.trainer_checkpoints import read_history, step_of

SFT_ANSWER_TOKENS = 1024
"""Longest answer of a model that was trained on texts, as it is evaluated; GRPO's recipe has a limit of its own."""


def noted(rows: Iterable[Row], origins: Counter[tuple[str, str]]) -> Iterator[Row]:
    """Pass rows on, and count where their values are from."""
    for row in rows:
        origins.update(row.provenance.items())
        yield row


def usable(write: Callable[[Path, Path], None], base: Checkpoint, training: Training) -> Callable[[Path, Path], None]:
    """A function that makes a model folder of the trainer's last checkpoint, and one that people can use.

    Args:
        write: Makes a model folder of the trainer's last checkpoint (first argument) at a path (second).
        base: What training started from.
        training: What is done, as far as that is known before it is.
    """

    def write_usable(final: Path, target: Path) -> None:
        write(final, target)
        make_usable(target, base, replace(training, steps=step_of(final), history=read_history(final)))

    return write_usable
