"""The sets that a curation writes: what supervised training, the reward model and GRPO learn from, and what is held out.

    sft           pictures with an annotation that was kept, and its reasoning: what supervised training imitates
    pool          pictures whose true place is known, without reasoning: what GRPO finds its own reasonings for
    reward_model  pictures with a reasoning, and whether the two tell where the picture was taken: "yes" or "no"
    test          pictures that are held out, whatever the teachers say of them, so it is no easier than the source

The reward model's set has "yes" rows, which are pictures that can be located, with the best reasoning that the teachers agree on,
and "no" rows: pictures that nobody could locate, with the words in which a teacher says so, and rows that are made
(`globe.curation.sets.negatives`). Its split is the pictures': of one that is held out, every row is.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.verify import Verdict
from globe.curation.sets.drawn import Choice, DrawnSet
from globe.curation.sets.draws import RANKS, rank
from globe.curation.sets.negatives import CUES_REMOVED, without_cues
from globe.data.rows import Row
from globe.data.shards import DatasetWriter

Split = Literal["train", "test"]
SETS = ("sft", "reward_model", "pool", "test")
"""The datasets of a curated folder."""
CANDIDATES = "candidates"
"""Folder beside them of the rows from which a set is chosen; it is gone when they are finished."""


class Outputs:
    """Writes the sets as pictures are judged, in the source's order. Use as a context manager: they are whole when it ends well.

    Memory does not grow with the pictures, but for the 8 bytes of a row of a set that is balanced and not limited.

    Args:
        folder: The curated folder; each set gets a folder of its name in it.
        recipe: What the sets hold.
    """

    def __init__(self, folder: Path, recipe: CurationRecipe) -> None:
        self._recipe, self._candidates = recipe, folder / CANDIDATES
        self._stack = ExitStack()
        self._writers = {name: DatasetWriter(folder / name) for name in SETS}
        self._drawn = {
            name: DrawnSet(self._writers[name], self._candidates / name, choice)
            for name, choice in _choices(recipe).items()
            if not choice.is_everything
        }

    def __enter__(self) -> Outputs:
        shutil.rmtree(self._candidates, ignore_errors=True)  # of a curation that was killed
        self._stack.callback(shutil.rmtree, self._candidates, ignore_errors=True)
        for writer in self._writers.values():
            self._stack.enter_context(writer)
        for drawn in self._drawn.values():
            self._stack.enter_context(drawn)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:  # no set is finished before the last of them is settled
            for drawn in self._drawn.values():
                drawn.settle()

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each set, once all are written."""
        return {name: writer.manifest.rows if writer.manifest else 0 for name, writer in self._writers.items()}

    def add(self, row: Row, split: Split, verdict: Verdict, evidence: Evidence) -> None:
        """Put a judged picture into the sets that it belongs to.

        A picture that may not be trained on because of a test set (`Splitter.decide`) belongs to none, and is not added. Each has
        an id of its own, which whoever reads the source has seen to.
        """
        origin = dict(row.provenance)
        if verdict.localizable is not None:
            origin["localizable"] = "consensus of " + ", ".join(evidence.models)
        base = row.model_copy(
            update={"split": split, "localizable": verdict.localizable, "reasoning": "", "entities": [], "provenance": origin}
        )
        told = _told(base, verdict, evidence)
        if verdict.best and split == "train":
            self._add("sft", told)
        if verdict.localizable is not None and verdict.spokesman:
            self._add("reward_model", told)
            self._add_without_cues(told, evidence.vlms[verdict.best or verdict.spokesman].elements)
        if split == "test":
            self._add("test", base)
        elif verdict.best or self._recipe.pool == "all":
            self._add("pool", _with_elements(base, verdict, evidence))

    def _add(self, name: str, row: Row) -> None:
        (self._drawn.get(name) or self._writers[name]).add(row)

    def _add_without_cues(self, told: Row, elements: list[str]) -> None:
        share = self._recipe.negatives.cues_removed * RANKS
        if told.localizable and rank(self._recipe.seed, CUES_REMOVED, told.id) < share:
            made = without_cues(told, elements)
            if made is not None:
                self._add("reward_model", made)


def _choices(recipe: CurationRecipe) -> dict[str, Choice]:
    """By set, which of its rows are written."""
    return {
        "sft": Choice(recipe.seed, most_train=recipe.max_sft_rows),
        "reward_model": Choice(
            recipe.seed,
            most_train=recipe.max_reward_model_rows,
            balanced=recipe.balance_verdicts,
            other_picture=recipe.negatives.other_picture,
        ),
        "pool": Choice(recipe.seed, most_train=recipe.max_pool_rows),
    }


def _told(base: Row, verdict: Verdict, evidence: Evidence) -> Row:
    """A picture with the reasoning that stands for what the teachers say, if there is one."""
    teacher = verdict.best or verdict.spokesman
    if not teacher:
        return base
    entities = list(verdict.annotations[teacher].entities) if verdict.best else []
    origin = {**base.provenance, "reasoning": teacher} | ({"entities": teacher} if verdict.best else {})
    return base.model_copy(update={"reasoning": evidence.vlms[teacher].reasoning, "entities": entities, "provenance": origin})


def _with_elements(base: Row, verdict: Verdict, evidence: Evidence) -> Row:
    """A picture with what at least two teachers see in it."""
    if not verdict.elements:
        return base.model_copy(update={"entities": []})
    origin = {**base.provenance, "entities": "seen by two of " + ", ".join(evidence.vlms)}
    return base.model_copy(update={"entities": list(verdict.elements), "provenance": origin})
