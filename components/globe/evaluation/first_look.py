"""A first look: the evaluation of some of a data set's pictures, drawn so that their figures estimate those of all.

A table's first rows are no sample, for tables are often sorted by country. So pictures are taken in the order of a hash of their
ids: it has nothing to do with where they were taken, it does not change when rows are added or moved, and the pictures of a
smaller look are also in every larger one.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from globe.data.rows import Row
from globe.data.shards import count_rows, read_dataset
from globe.evaluation.recipe import EvaluationRecipe


def look_at(pictures: Path, recipe: EvaluationRecipe) -> Iterator[Row]:
    """The rows of a dataset to ask about, in its order: all of them, or as many as the recipe's `limit`."""
    if _is_whole(pictures, recipe):
        return read_dataset(pictures)
    chosen = choose((row.id for row in read_dataset(pictures)), recipe)
    return (row for row in read_dataset(pictures) if row.id in chosen)


def look_size(pictures: Path, recipe: EvaluationRecipe) -> int:
    """How many rows `look_at` gives."""
    rows = count_rows(pictures)
    return min(rows, recipe.limit) if recipe.limit else rows


def choose(ids: Iterable[str], recipe: EvaluationRecipe) -> set[str]:
    """The ids of a first look's pictures, as many as the recipe's `limit`."""
    return set(sorted(ids, key=lambda name: _place(name, recipe.seed))[: recipe.limit])


def look_of(pictures: Path, recipe: EvaluationRecipe) -> str:
    """Which pictures are asked about, as a part of the question that a folder of results belongs to."""
    return "all" if _is_whole(pictures, recipe) else f"{recipe.limit} by hash order, seed {recipe.seed}"


def look_line(metrics: Mapping[str, Any], recipe: EvaluationRecipe) -> list[str]:
    """What a reader must know of the figures of a first look: that they are an estimate, and how good it is."""
    interval = metrics["ci95"].get("25")
    if not recipe.limit or metrics["n"] < recipe.limit or not interval:
        return []
    return [
        f"a first look at {metrics['n']} pictures: {metrics['accuracy']['25']:.1f}% of them are within 25 km, so that of all "
        f"pictures {interval[0]:.1f} to {interval[1]:.1f}% would be (95% interval)"
    ]


def _is_whole(pictures: Path, recipe: EvaluationRecipe) -> bool:
    """Whether a look takes in all pictures that there are."""
    return not recipe.limit or recipe.limit >= count_rows(pictures)


def _place(identity: str, seed: int) -> bytes:
    """Where in the order a picture is."""
    return hashlib.sha256(f"{seed}\0{identity}".encode(errors="surrogatepass")).digest()
