"""Step c, second half: another teacher's reasoning says the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from globe.curation.recipe import Rules
from globe.entities.matching import Thing


def best_alignment(name: str, alignments: Mapping[tuple[str, str], float]) -> float | None:
    """The highest cosine of a teacher's reasoning with another's; None if an alignment model compared none of them."""
    return max((cosine for between, cosine in alignments.items() if name in between), default=None)


def is_aligned(
    name: str,
    others: Iterable[str],
    alignments: Mapping[tuple[str, str], float],
    cues: Mapping[str, Iterable[Thing]],
    rules: Rules,
) -> bool:
    """Tell whether the reasoning of one of the other teachers says the same as this one's.

    Two are compared by an alignment model's cosine where there is one, else by the cues that they share, if the recipe asks for
    any. When neither can be done, nothing speaks against the reasoning.

    Args:
        name: The teacher.
        others: The other teachers that locate the picture.
        alignments: Cosines, by the teachers' names in alphabetical order.
        cues: What each teacher's reasoning names.
        rules: Thresholds.
    """
    compared = False
    for other in others:
        cosine = alignments.get((min(name, other), max(name, other)))
        if cosine is not None:
            same = cosine >= rules.min_alignment
        elif rules.min_shared_cues > 0:
            # The tolerance keeps a share of 1/3 from failing against 0.333... because of the last digit.
            same = shared_cues(cues[name], cues[other]) + 1e-9 >= rules.min_shared_cues
        else:
            continue
        if same:
            return True
        compared = True
    return not compared and rules.min_shared_cues == 0


def shared_cues(one: Iterable[Thing], other: Iterable[Thing]) -> float:
    """Share of the words for things in the shorter of two reasonings that the other has as well; 0 if one names nothing.

    Of the shorter, because a teacher that says more does not contradict one that says less.
    """
    words, others = ({word for thing in things for word in thing.words} for things in (one, other))
    return len(words & others) / (min(len(words), len(others)) or 1)
