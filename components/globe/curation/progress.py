"""What a long curation shows while it works: the part, the pictures, the replies and the time left."""

from __future__ import annotations

import time

from globe.curation.teachers.asking import Progress
from globe.data.parts import Part

TELLING_S = 30.0
"""After so long, the pace so far says something about the rest."""


class Pace:
    """Turns what is told of one part into what is told of the whole.

    Args:
        report: Called as (pictures done, pictures in all, figure to show).
        total: Rows of the source.
        parts: Number of its parts.
    """

    def __init__(self, report: Progress, total: int, parts: int) -> None:
        self._report, self.total, self._parts = report, total, parts
        self._part = Part(0, max(total, 1))
        self._asked = 0
        self._asking_s = 0.0

    def begin(self, part: Part) -> None:
        """Tell which part is next."""
        self._part = part

    def reading(self, rows: int) -> None:
        """Tell how many rows of the part have been read."""
        self._report(self._part.first, self.total, f"{self._named}{rows} pictures read")

    def asking(self) -> Progress:
        """What is to be called while the part is asked about, as `globe.curation.teachers.asking.ask_teachers` does."""
        started, before = time.monotonic(), self._asked

        def told(done: int, total: int, figure: str) -> None:
            self._asked = before + done
            spent_s = self._asking_s + time.monotonic() - started
            if done == total:
                self._asking_s = spent_s
            at = min(self._part.first + done, self.total)
            left = time_left(spent_s, self._asked, self.total - at)
            self._report(at, self.total, f"{self._named}{figure}{left}")

        return told

    def merging(self, done: int, total: int, figure: str) -> None:
        """Tell how many rows have been put together."""
        self._report(done, total, figure)

    @property
    def _named(self) -> str:
        return f"part {self._part.index + 1} of {self._parts}: " if self._parts > 1 else ""


def time_left(spent_s: float, done: int, to_do: int) -> str:
    """The time that the rest will take at the pace so far, as ", about 2 h 10 min left"; "" as long as that says little.

    Args:
        spent_s: Time taken for what is done.
        done: Pictures done in this time.
        to_do: Pictures that are left.
    """
    if spent_s < TELLING_S or not done or not to_do:
        return ""
    minutes = max(1, round(to_do * spent_s / done / 60))
    hours, minutes = divmod(minutes, 60)
    return f", about {f'{hours} h ' if hours else ''}{minutes} min left"
