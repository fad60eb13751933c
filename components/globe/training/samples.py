"""What a training's rollouts were: for each picture the truth and its group of answers, with each reward and its reason."""

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.rewards import REWARDS
from globe.training.completions import PICTURE, ROW, parse, read_new, step_of_line

SAMPLES = "samples"
"""Subfolder of a stage's folder for the pages."""
INDEX_FILE = "index.html"
"""In that folder: leads to all pages."""


@dataclass(frozen=True)
class Scored:
    """One reward of an answer."""

    name: str
    score: float | None
    """As it was trained on; None where there was none."""
    reason: str


@dataclass(frozen=True)
class Answer:
    """One completion."""

    text: str
    advantage: float | None
    scores: tuple[Scored, ...]


@dataclass(frozen=True)
class Group:
    """The completions of one prompt."""

    picture: Path
    truth: dict[str, Any]
    answers: tuple[Answer, ...]


WritePage = Callable[[Path, int, Sequence[Group]], None]
"""Writes a page of samples: the folder for pages, the step, and its groups."""


def no_page(folder: Path, step: int, groups: Sequence[Group]) -> None:
    """For callers that want no pages."""


def groups_of(line: bytes, rewards: Collection[str]) -> list[Group]:
    """The groups of a rollout.

    Args:
        line: Of completions.jsonl.
        rewards: The rewards that it was scored with.
    """
    members: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in parse(line):
        members.setdefault((str(record.get(PICTURE, "")), str(record.get(ROW, "{}"))), []).append(record)
    return [
        Group(
            Path(picture),
            json.loads(row),
            tuple(
                Answer(
                    str(record["completion"]),
                    _finite(record.get("advantages")),
                    tuple(_scored(name, record, json.loads(row)) for name in rewards),
                )
                for record in records
            ),
        )
        for (picture, row), records in members.items()
    ]


def _scored(name: str, record: dict[str, Any], row: dict[str, Any]) -> Scored:
    score = _finite(record.get(name))
    if name not in REWARDS:
        return Scored(name, score, "the reward model's P(yes)" if score is not None else "the reward model gave no score")
    try:
        return Scored(name, score, REWARDS[name](str(record["completion"]), row).reason)
    except InputError as error:  # a row without its truth
        return Scored(name, score, str(error))


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


class Samples:
    """Writes a page every so many steps, from the completions that the trainer has written so far."""

    def __init__(self, completions: Path, folder: Path, every: int, rewards: Collection[str], write: WritePage) -> None:
        """Set up.

        Args:
            completions: completions.jsonl.
            folder: Where the pages go.
            every: Steps between two pages.
            rewards: The rewards that count.
            write: Writes a page.
        """
        self._completions, self._folder, self._every, self._rewards, self._write = completions, folder, every, rewards, write
        self._position, self._last, self._page_of = 0, b"", 0

    def write_due(self) -> None:
        """Write the pages of the steps that have been logged since the last call."""
        for step, line, position in read_new(self._completions, self._position):
            self._position, self._last = position, line
            if step % self._every == 0:
                self._page(step, line)

    def write_last(self) -> None:
        """Write what is due, and the page of the last step."""
        self.write_due()
        step = step_of_line(self._last)
        if step and step != self._page_of:
            self._page(step, self._last)

    def _page(self, step: int, line: bytes) -> None:
        self._write(self._folder, step, groups_of(line, self._rewards))
        self._page_of = step
