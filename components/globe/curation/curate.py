"""Curate a source: read it part by part, ask the teachers about every picture, verify what they say, write what survives.

A source is cut into parts of consecutive rows. Each is read and asked about (`globe.curation.parts`), one after the other here,
side by side on a cluster; then all are put together (`globe.curation.merge`). Every reply is kept at once, so a curation that
was killed continues where it stopped, and the result depends only on the replies: not on the number of parts, nor on when they
arrived.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from globe.curation.earlier import EarlierReplies, finish_putting_aside, put_aside
from globe.curation.guard.facts import test_sets_of
from globe.curation.merge import RESULT_NAME, About, add_lost, check_lost, merge_parts
from globe.curation.parts import PartFiles, ask_part, read_part
from globe.curation.progress import Pace
from globe.curation.recipe import CurationRecipe
from globe.curation.sets.outputs import SETS
from globe.curation.teachers.asking import Progress
from globe.curation.teachers.teacher import Teacher, check_teachers, join_replicas
from globe.data.completeness import Unusable
from globe.data.images import MAX_SIDE_PX
from globe.data.ingest import identity_of
from globe.data.named import Given, given_path
from globe.data.parts import Part, parts_of
from globe.data.sources import count_listed
from globe.errors import InputError
from globe.files import write_json

CUT_NAME = "cut.json"
FOLDERS = (*SETS, "parts", "earlier")
"""Folders of a curated folder."""
UNFINISHED = "*.[0-9]*.tmp"
LOCK_NAME = "curation.lock"


@dataclass(frozen=True)
class Cut:
    """How a folder's source is cut.

    Attributes:
        source: What was given.
        digest: What it holds: changes if a file of it does.
        rows: Rows that it lists.
        part_rows: Of each part.
    """

    source: str
    digest: str
    rows: int
    part_rows: int

    @property
    def parts(self) -> list[Part]:
        """The parts, in the source's order; at least one."""
        return parts_of(self.rows, self.part_rows)


def curate(
    source: Path | Given,
    out: Path,
    teachers: list[Teacher],
    recipe: CurationRecipe,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Curate a source into training and test data.

    Args:
        source: A source dataset with truth, or anything else that `globe.data.sources.read_source` takes.
        out: Where sft/, reward_model/, pool/, test/, decisions.jsonl and, last, curation.json go, and in parts/ what was read and
            replied. What an earlier, unfinished curation of the source left there is used, and not asked for again. After a
            finished one, questions whose calls failed are asked again.
        teachers: At least two VLMs, and any coordinate models.
        recipe: Thresholds, split, and how to ask.
        progress: Called as (pictures done, pictures in all, figure to show).

    Returns:
        The content of curation.json. in = kept + dropped + quarantined, over both splits. "kept" means that an annotation
        passed every rule; a held-out picture stays in test/ either way, so that the test set is no easier than the source.

    Raises:
        InputError: The source or the teachers can't be used, the source has changed meanwhile, a teacher never answered, or `out`
            is the source, lies in it, belongs to another source, or holds what was made elsewhere.
        GlobeError: A teacher failed on more than the recipe's share of pictures.
    """
    check_teachers(teachers, recipe)
    teachers = join_replicas(teachers)
    test_sets_of(recipe)  # one that is missing is told before anybody is asked
    given = source if isinstance(source, Given) else given_path(source)
    check_apart(given, out)
    cut = Cut(str(given.path.resolve()), identity_of(given), count_listed(given), recipe.part_rows)
    about = About.of(given, recipe.max_unusable_percent)
    pace = Pace(progress or (lambda done, total, figure: None), cut.rows, len(cut.parts))
    out.mkdir(parents=True, exist_ok=True)
    with _only_one(out), _cut_as(cut, out) as earlier:
        parts = [_files(given, cut, part, out) for part in cut.parts]
        if (out / RESULT_NAME).is_file():
            for files in parts:
                if files.unanswered():
                    files.reopen()
        all_were_read = all(files.is_read for files in parts)
        lost: dict[str, Unusable] = {}
        for part, files in zip(cut.parts, parts, strict=True):
            pace.begin(part)
            read_part(given, part, files, MAX_SIDE_PX, pace.reading)
            if about.checked:
                add_lost(lost, files.lost())
                check_lost(about, lost, cut.rows, out)
            ask_part(files, teachers, recipe, pace.asking(), earlier)
        if not all_were_read:
            _check_unchanged(given, cut)
        return merge_parts(about, parts, out, teachers, recipe, pace.merging)


def _check_unchanged(given: Given, cut: Cut) -> None:
    """Refuse parts that may be of different sources, because rows move between them where some are added or removed.

    Raises:
        InputError: The source is not what it was when it was cut.
    """
    try:
        changed = identity_of(given) != cut.digest
    except OSError:  # a file of it has gone
        changed = True
    if changed:
        raise InputError(f"{given.path}: changed while it was read; run again when it stays as it is: replies so far are kept")


def check_apart(given: Given, out: Path) -> None:
    """Refuse to write into the source: what is written would be read as a part of it the next time.

    Raises:
        InputError: The folder is the source, or lies in it.
    """
    source, folder = given.path.resolve(), out.resolve()
    if folder == source:
        raise InputError(
            f"{out}: is the source itself, which would be taken for curated when it is next read; give another folder"
        )
    if source.is_dir() and folder.is_relative_to(source):
        raise InputError(
            f"{out}: lies in the source {given.path}, and would be read with it the next time; give a folder beside it"
        )


def _files(given: Given, cut: Cut, part: Part, out: Path) -> PartFiles:
    """Where a part's files go. A dataset that is one part is used as it lies; parts of one are written out."""
    folder = out / "parts" / f"{part.index:05d}"
    return PartFiles(given.path if given.is_dataset and len(cut.parts) == 1 else folder / "source", folder, folder)


@contextmanager
def _only_one(out: Path) -> Iterator[None]:
    with (out / LOCK_NAME).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{out}: another curation is writing here; wait for it or choose another folder") from None
        yield


def _remove_unfinished(out: Path) -> None:
    """Remove what a process that was killed has left half-written (`globe.files`), in a folder that is known to be ours."""
    for place in (out.glob(UNFINISHED), *((out / name).rglob(UNFINISHED) for name in FOLDERS)):
        for left in list(place):
            left.unlink()


@contextmanager
def _cut_as(cut: Cut, out: Path) -> Iterator[EarlierReplies]:
    """Give a folder to a source and a cut, and say which replies it has from other cuts.

    If the source has changed, or is cut otherwise now, the parts are made anew, and their replies put aside.
    """
    path = out / CUT_NAME
    if path.is_file():
        finish_putting_aside(out / "parts", out / "earlier")
        try:
            before = Cut(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: damaged ({error}), so it tells no source; restore it, or give another folder") from None
        if before.source != cut.source and before.digest != cut.digest:
            raise InputError(f"{out}: holds the curation of {before.source}, and not of {cut.source}; give another folder")
        _remove_unfinished(out)
        if replace(before, source=cut.source) != cut:
            put_aside(out / "parts", out / "earlier")
    elif foreign := [name for name in FOLDERS if (out / name).exists()]:  # perhaps somebody's photos
        raise InputError(f"{out}: holds {foreign[0]}, which no curation here has made; give another folder")
    write_json(path, asdict(cut))
    with EarlierReplies(out / "earlier") as earlier:
        yield earlier
