"""The curation stage: ask the teachers about every picture, verify what they say, write what survives.

First pass: every picture goes to every teacher, and each reply is appended to replies.jsonl at once, so that a curation that
was killed continues where it stopped. Second pass: the source is read again, each picture is judged from the stored replies,
and the four datasets are written in the source's order. So the result depends only on the replies, not on when they arrived.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from globe.curation.asking import Asked, Progress, ask_teachers
from globe.curation.elements import Vocabulary
from globe.curation.measure import Measure
from globe.curation.recipe import CurationRecipe
from globe.curation.replies import REPLIES_NAME, CoordinateReply, Record, ReplyLog, VlmReply
from globe.curation.teachers import Teacher, check_teachers
from globe.curation.verify import Verdict, judge
from globe.data.completeness import write_completeness
from globe.data.ingest import counted
from globe.data.named import Given, given_path
from globe.data.rows import Row
from globe.data.shards import DatasetWriter, count_rows, read_dataset, read_manifest, write_dataset
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError
from globe.files import json_line, write_json
from globe.geo.verdict import Truth

RESULT_NAME = "curation.json"
Split = Literal["train", "test"]
DECISIONS_NAME = "decisions.jsonl"


def curate(
    source: Path | Given,
    out: Path,
    teachers: list[Teacher],
    recipe: CurationRecipe,
    progress: Progress | None = None,
    replies: Sequence[Path] = (),
) -> dict[str, Any]:
    """Curate a source into training and test data.

    Args:
        source: A source dataset with truth, or anything else that `globe.data.sources.read_source` takes, which is
            imported into `out/source` first.
        out: Where sft/, reward_model/, pool/, test/, decisions.jsonl, replies.jsonl and, last, curation.json go. Replies
            that an earlier, unfinished curation left there are used, and not asked for again.
        teachers: At least two VLMs, and any coordinate models.
        recipe: Thresholds, split, and how to ask.
        progress: Called as (pictures done, pictures in all, figure to show).
        replies: Logs of annotators that have already asked about parts of the source; their questions aren't asked again.

    Returns:
        The content of curation.json. in = kept + dropped + quarantined, over both splits. "kept" means that an annotation
        passed every rule; a held-out picture stays in test/ either way, so that the test set is no easier than the source.

    Raises:
        InputError: The source or the teachers can't be used, or a teacher never answered.
        GlobeError: A teacher failed on more than the recipe's share of pictures.
    """
    check_teachers(teachers, recipe.min_entity_support)
    out.mkdir(parents=True, exist_ok=True)
    report = progress or (lambda done, total, figure: None)
    with ReplyLog(out / REPLIES_NAME) as log:
        (out / RESULT_NAME).unlink(missing_ok=True)
        for annotated in replies:
            log.adopt(annotated)
        imported = SourceReport()
        given = source if isinstance(source, Given) else given_path(source)
        folder = given.path
        if not given.is_dataset:
            folder = out / "source"
            write_dataset(folder, read_source(given, imported, recipe.max_side_px))
        total = count_rows(folder)
        if not total:
            reasons = ", ".join(f"{reason}: {len(ids)}" for reason, ids in imported.quarantined.items())
            raise InputError(f"{given.path}: no usable picture{f' ({reasons})' if reasons else ''}")
        if not given.is_dataset:
            record = counted(given, imported, total)
            record.check(recipe.max_unusable_percent, write_completeness(folder, record))
        asked = ask_teachers(folder, teachers, recipe, log, report)
        result = _judge_all(folder, out, asked, teachers, recipe, log, imported)
    write_json(out / RESULT_NAME, result)
    share = result["kept"] / result["in"]
    report(total, total, f"kept {result['kept']} of {result['in']} ({share:.0%})")
    return result


def plan_curation(source: Path | Given, teachers: list[Teacher], recipe: CurationRecipe) -> dict[str, Any]:
    """Say what a curation would ask, without asking. Photos have to be read to be counted.

    Raises:
        InputError: As `curate`, for source and teachers.
    """
    check_teachers(teachers, recipe.min_entity_support)
    report = SourceReport()
    given = source if isinstance(source, Given) else given_path(source)
    usable = count_rows(given.path) if given.is_dataset else sum(1 for _ in read_source(given, report))
    quarantined = {reason: len(ids) for reason, ids in report.quarantined.items()}
    calls = {teacher.spec: usable for teacher in teachers}
    return {"in": usable + report.refused, "quarantined": quarantined, "calls": calls}


def _judge_all(
    folder: Path,
    out: Path,
    asked: Asked,
    teachers: list[Teacher],
    recipe: CurationRecipe,
    log: ReplyLog,
    imported: SourceReport,
) -> dict[str, Any]:
    """Second pass: judge every picture from the log and write the datasets."""
    tallies = {teacher.model: Counter[str]() for teacher in teachers}
    vocabulary = Vocabulary()
    for digest in asked.digests.values():
        for record in _records(digest, teachers, log):
            _count(tallies[record.teacher], record)
            if record.vlm is not None:
                vocabulary.add(record.teacher, record.vlm.elements)
    # A source that names test rows keeps its own split.
    own_split = read_manifest(folder).splits.get("test", 0) > 0
    held_out = set() if own_split else hold_out(asked.digests, recipe.test_share, recipe.seed)
    measure = Measure.of(folder)
    dropped, quarantined = Counter[str](), Counter(asked.quarantined.values())
    quarantined.update({reason: len(ids) for reason, ids in imported.quarantined.items()})
    kept = 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(DatasetWriter(out / name)) for name in ("sft", "reward_model", "pool", "test")}
        decisions = stack.enter_context((out / DECISIONS_NAME).open("w", encoding="utf-8"))
        for reason, ids in imported.quarantined.items():
            for row_id in ids:
                decisions.write(_line(row_id, None, "quarantined", reason))
        for row in read_dataset(folder):
            if row.id in asked.quarantined:
                decisions.write(_line(row.id, None, "quarantined", asked.quarantined[row.id]))
                continue
            records = list(_records(asked.digests[row.id], teachers, log))
            vlms = {record.teacher: record.vlm for record in records if record.vlm is not None}
            positions = {r.teacher: r.coordinates for r in records if r.coordinates is not None}
            truth = Truth(row.country, row.city, row.lat_deg, row.lon_deg)
            verdict = judge(truth, vlms, positions, vocabulary, recipe)
            split: Split = row.split if own_split else "test" if row.id in held_out else "train"
            _write_row(writers, row, split, verdict, vlms, positions)
            kept += verdict.best is not None
            if verdict.best is None:
                dropped[verdict.reason] += 1
            if measure is not None:
                measure.add(row.id, vlms, verdict)
            outcome = "kept" if verdict.best else "dropped"
            decisions.write(_line(row.id, split, outcome, verdict.reason, verdict))
    sizes = {name: writer.manifest.rows if writer.manifest else 0 for name, writer in writers.items()}
    return {
        "in": asked.rows + imported.refused,
        "kept": kept,
        "dropped": dict(dropped.most_common()),
        "quarantined": dict(quarantined.most_common()),
        "splits": {"train": sizes["sft"], "test": sizes["test"], "reward_model": sizes["reward_model"]},
        "pool": sizes["pool"],
        "teachers": {teacher.spec: _teacher_figures(tallies[teacher.model]) for teacher in teachers},
        "measured": measure.figures() if measure is not None else None,
    }


def _records(digest: bytes, teachers: list[Teacher], log: ReplyLog) -> Iterable[Record]:
    return log.records(teacher.key(digest) for teacher in teachers)


def hold_out(ids: Iterable[str], test_share: float, seed: int) -> set[str]:
    """Choose the pictures to hold out by a hash of the id, so that a picture's split doesn't depend on which others there are.

    Only if that would leave one split empty does the picture nearest to the threshold change sides.
    """
    places = {row_id: _place_of(row_id, seed) for row_id in ids}
    chosen = {row_id for row_id, place in places.items() if place < test_share}
    if test_share and len(places) > 1:
        if not chosen:
            chosen.add(min(places, key=places.__getitem__))
        elif len(chosen) == len(places):
            chosen.discard(max(places, key=places.__getitem__))
    return chosen


def _place_of(row_id: str, seed: int) -> float:
    """Hash an id to [0, 1)."""
    digest = hashlib.sha256(f"{seed}:{row_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _write_row(
    writers: dict[str, DatasetWriter],
    row: Row,
    split: Split,
    verdict: Verdict,
    vlms: dict[str, VlmReply],
    positions: dict[str, CoordinateReply],
) -> None:
    """Put a judged picture into the datasets that it belongs to."""
    origin = dict(row.provenance)
    if verdict.localizable is not None:
        origin["localizable"] = "consensus of " + ", ".join([*vlms, *positions])
    base = row.model_copy(
        update={"split": split, "localizable": verdict.localizable, "reasoning": "", "entities": [], "provenance": origin}
    )
    if verdict.best:
        annotation, teacher = verdict.annotations[verdict.best], verdict.best
        annotated = base.model_copy(
            update={
                "reasoning": vlms[teacher].reasoning,
                "entities": list(annotation.entities),
                "provenance": {**origin, "reasoning": teacher, "entities": teacher},
            }
        )
        if split == "train":
            writers["sft"].add(annotated)
    elif verdict.spokesman:
        teacher = verdict.spokesman
        annotated = base.model_copy(update={"reasoning": vlms[teacher].reasoning, "provenance": {**origin, "reasoning": teacher}})
    if verdict.localizable is not None and verdict.spokesman:
        writers["reward_model"].add(annotated)
    if split == "train":
        seen = {"entities": list(verdict.elements)}
        marked = {**origin, "entities": "seen by two of " + ", ".join(vlms)} if verdict.elements else origin
        writers["pool"].add(base.model_copy(update={**seen, "provenance": marked}))
    else:
        writers["test"].add(base)


def _count(tally: Counter[str], record: Record) -> None:
    tally["asked"] += 1
    tally[record.status] += 1
    tally["retries"] += record.attempts - 1


def _teacher_figures(tally: Counter[str]) -> dict[str, int]:
    """Pictures asked = answered + malformed + timeouts + failed; retries counts the repeated calls."""
    return {
        "asked": tally["asked"],
        "answered": tally["ok"],
        "malformed": tally["malformed"],
        "timeouts": tally["timeout"],
        "failed": tally["failed"],
        "retries": tally["retries"],
    }


def _line(row_id: str, split: str | None, outcome: str, reason: str, verdict: Verdict | None = None) -> str:
    entry: dict[str, Any] = {"id": row_id, "split": split, "outcome": outcome, "reason": reason}
    if verdict is not None:
        entry["localizable"] = verdict.localizable
        entry["annotations"] = {name: annotation.reason for name, annotation in verdict.annotations.items()}
    return json_line(entry)
