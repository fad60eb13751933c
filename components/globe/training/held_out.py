"""Rows of GRPO's pool that it is measured on and never trained on.

They are chosen by a hash of the picture's content, so the choice depends on neither their order nor their names, and no picture
is on both sides, however often the pool has it. Pictures that are only alike (a burst, another crop) are different ones here, as
they are for curation's own split.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from globe.data.rows import Row
from globe.errors import InputError
from globe.training.rows import export

ROWS_VARIABLE = "GLOBE_EVAL_ROWS"
"""Tells the trainer's process where the held-out rows lie, as JSON lines like those it trains on."""
STEPS_VARIABLE = "GLOBE_EVAL_STEPS"
REWARD_VARIABLE = "GLOBE_EVAL_REWARD"
PLACE_REWARDS = ("accuracy", "accuracy_original", "distance")
"""Rewards that judge an answer by where the picture was taken; a training is measured by the first of these that it is given."""


@dataclass(frozen=True)
class HeldOut:
    """Which rows of a pool are not trained on, by id."""

    measured: frozenset[str] = frozenset()
    twins: frozenset[str] = frozenset()
    """Further rows with the same pictures: neither trained nor measured on."""


def hold_out(rows: Iterable[Row], count: int, seed: int) -> HeldOut:
    """Choose the rows to measure on.

    Args:
        rows: The pool.
        count: How many to choose, each of another picture.
        seed: The recipe's seed.

    Raises:
        InputError: The pool has too few pictures.
    """
    if not count:
        return HeldOut()
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(hashlib.sha256(row.image).hexdigest(), []).append(row.id)
    if 2 * count > len(ids):
        raise InputError(
            f"grpo.eval_rows ({count}): the pool has {len(ids)} different pictures; hold out at most half of them, or none (0)"
        )
    chosen = sorted(ids, key=lambda picture: hashlib.sha256(f"{seed}:{picture}".encode()).digest())[:count]
    return HeldOut(
        frozenset(min(ids[picture]) for picture in chosen),
        frozenset(row_id for picture in chosen for row_id in sorted(ids[picture])[1:]),
    )


@dataclass(frozen=True)
class Files:
    """The rows of a pool as the trainer reads them."""

    train: Path
    held_out: Path
    count: int
    """How many are trained on."""


def split_rows(
    rows: Iterable[Row],
    held_out: HeldOut,
    shape: Callable[[Row, Path], dict[str, Any]],
    folder: Path,
    note: Callable[[Iterable[Row]], Iterable[Row]] = iter,
) -> Files:
    """Write a pool as JSON lines: the rows to train on, and those to measure on.

    Args:
        rows: The pool.
        held_out: Which rows are not trained on.
        shape: Turns a row and its picture's file into ms-swift's shape.
        folder: Where the files go, with the pictures beside them.
        note: Passes the rows to train on through.
    """
    files = Files(folder / "train.jsonl", folder / "held_out.jsonl", 0)
    measured: list[Row] = []

    def trained() -> Iterator[Row]:
        for row in rows:
            if row.id in held_out.measured:
                measured.append(row)
            elif row.id not in held_out.twins:
                yield row

    count = export(((row, shape) for row in note(trained())), files.train, folder / "pictures")
    export(((row, shape) for row in measured), files.held_out, folder / "pictures")
    return replace(files, count=count)


def measured_reward(weights: Mapping[str, float]) -> str:
    """The reward that a training with these rewards is measured by."""
    return next((name for name in PLACE_REWARDS if name in weights), PLACE_REWARDS[0])


def measuring(rows: Path, steps: int, weights: Mapping[str, float]) -> dict[str, str]:
    """Environment variables that tell the trainer's process to measure itself.

    Args:
        rows: JSON lines of the held-out rows.
        steps: Steps between two measurements.
        weights: The rewards that count.
    """
    return {ROWS_VARIABLE: str(rows), STEPS_VARIABLE: str(steps), REWARD_VARIABLE: measured_reward(weights)}
