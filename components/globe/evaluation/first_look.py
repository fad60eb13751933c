"""A first look: the evaluation of some of a data set's pictures, drawn so that their figures estimate those of all.

A table's first rows are no sample, for tables are often sorted by country. So pictures are taken in the order of a hash of their
ids: it has nothing to do with where they were taken, it does not change when rows are added or moved, and the pictures of a
smaller look are also in every larger one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from globe.evaluation.recipe import EvaluationRecipe


class Identified(Protocol):
    """Whatever has an id."""

    @property
    def id(self) -> str:
        """Tells pictures apart."""


Picture = TypeVar("Picture", bound=Identified)


def first_look(rows: Sequence[Picture], recipe: EvaluationRecipe) -> list[Picture]:
    """The pictures to ask about: all of them, or the recipe's `limit`, in their own order."""
    if not recipe.limit or recipe.limit >= len(rows):
        return list(rows)
    chosen = set(sorted((row.id for row in rows), key=lambda name: _place(name, recipe.seed))[: recipe.limit])
    return [row for row in rows if row.id in chosen]


def look_of(recipe: EvaluationRecipe) -> str:
    """Which pictures are asked about, as a part of the question that a folder of results belongs to."""
    return f"{recipe.limit} by hash order, seed {recipe.seed}" if recipe.limit else "all"


def look_line(metrics: Mapping[str, Any], recipe: EvaluationRecipe) -> list[str]:
    """What a reader must know of the figures of a first look: that they are an estimate, and how good it is."""
    interval = metrics["ci95"].get("25")
    if not recipe.limit or metrics["n"] < recipe.limit or not interval:
        return []
    return [
        f"a first look at {metrics['n']} pictures: {metrics['accuracy']['25']:.1f}% of them are within 25 km, so that of all "
        f"pictures {interval[0]:.1f} to {interval[1]:.1f}% would be (95% interval)"
    ]


def _place(identity: str, seed: int) -> bytes:
    """Where in the order a picture is."""
    return hashlib.sha256(f"{seed}\0{identity}".encode(errors="surrogatepass")).digest()
