"""Many completions at once, as GRPO samples them: what they share is read once, and their words all together.

``BATCH_REWARDS[name](Batch(completions, rows))`` gives what ``[REWARDS[name](c, r).score for c, r in zip(completions, rows)]``
gives, several times faster; the tests hold the two equal. A reward's part of it, ``scores(batch)``, stands beside its definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from globe.answer.locate import refuse
from globe.answer.parse import Answer, parse
from globe.entities.claims import RowEntities, prepare
from globe.geo.verdict import Truth
from globe.rewards.score import CACHED_CHARS, broken, entities_of, truth_of

if TYPE_CHECKING:
    from globe.rewards.claims_batch import ManyClaims
    from globe.rewards.words import Words

T = TypeVar("T")
MAX_TOGETHER = 256
"""Completions whose words are read together. Each batch costs some 0.5 ms whatever its size; far larger ones leave the cache."""


class Batch:
    """Completions and their rows, at most MAX_TOGETHER; everything else is read from them when it is first asked for."""

    def __init__(self, completions: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> None:
        self.completions = completions
        self.rows = rows

    @cached_property
    def broken(self) -> list[str]:
        """Why each completion cannot be judged; empty where it can."""
        return [broken(completion) for completion in self.completions]

    @cached_property
    def answers(self) -> list[Answer]:
        """Each completion, parsed."""
        return [
            Answer() if reason else parse(completion) for completion, reason in zip(self.completions, self.broken, strict=True)
        ]

    @cached_property
    def refusals(self) -> list[str]:
        """Why each completion has no answer; empty where it has one."""
        return [reason or refuse(answer) for reason, answer in zip(self.broken, self.answers, strict=True)]

    @cached_property
    def truths(self) -> list[Truth]:
        """Each row's solution. Raises InputError for a broken row."""
        return self._of_rows(truth_of)

    @cached_property
    def entities(self) -> list[tuple[str, ...]]:
        """Each row's entities. Raises InputError for a broken row."""
        return self._of_rows(entities_of)

    @cached_property
    def prepared(self) -> list[RowEntities]:
        """Each row's entities, read into words."""
        return [prepare(entities) for entities in self.entities]

    @cached_property
    def worded(self) -> list[int]:
        """The completions whose words are read together: those with a reasoning, but for the very long."""
        return [i for i, answer in enumerate(self.answers) if answer.reasoning and len(answer.reasoning) <= CACHED_CHARS]

    @cached_property
    def words(self) -> Words:
        """The words of the worded completions' reasonings."""
        from globe.rewards.words import read_words  # numpy: the plain functions must not cost its import

        return read_words([self.answers[i].reasoning or "" for i in self.worded])

    @cached_property
    def claims(self) -> ManyClaims:
        """What the worded completions claim to see."""
        from globe.rewards.claims_batch import claims_of_all

        return claims_of_all(self.words, [self.entities[i] for i in self.worded])

    def plainly(self, score: Callable[..., Any], worded: Mapping[int, float]) -> list[float]:
        """The scores found for the worded completions, and the plain function's for all others."""
        return [
            worded[i] if i in worded else score(completion, row).score
            for i, (completion, row) in enumerate(zip(self.completions, self.rows, strict=True))
        ]

    def _of_rows(self, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
        known: dict[int, T] = {}  # completions of a group come with the same row
        found = []
        for row in self.rows:
            if id(row) not in known:
                known[id(row)] = read(row)
            found.append(known[id(row)])
        return found


def batches(completions: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> list[Batch]:
    """Any number of completions, cut into batches.

    Raises:
        ValueError: there are not as many rows as completions.
    """
    if len(completions) != len(rows):
        raise ValueError(f"{len(completions)} completions, but {len(rows)} rows")
    cuts = range(0, len(completions), MAX_TOGETHER)
    return [Batch(completions[i : i + MAX_TOGETHER], rows[i : i + MAX_TOGETHER]) for i in cuts]
