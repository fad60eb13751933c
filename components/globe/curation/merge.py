"""Put the parts of a source together: find duplicates, split, judge and write, all as streams in the source's own order.

Two passes over all parts. The first learns what can only be known of the whole: which pictures are duplicates, what the teachers'
vocabulary is, what is held out. The second judges each picture and writes it. Memory holds one part at a time; what grows with
the source is on disk. So the result depends neither on how many parts there were, nor on when which reply arrived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from globe.curation.duplicates import Duplicates
from globe.curation.funnel import write_funnel
from globe.curation.guard.facts import Facts, facts_of_set, test_sets_of
from globe.curation.guard.splits import Decision, Splitter
from globe.curation.measure import Measure
from globe.curation.parts import PartFiles, Pictures, Refused, open_replies
from globe.curation.recipe import CurationRecipe
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.verify import Verdict, judge
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.sets.card import write_card
from globe.curation.sets.outputs import Outputs
from globe.curation.teachers.asking import Progress
from globe.curation.teachers.figures import TeacherFigures
from globe.curation.teachers.questions import Answers
from globe.curation.teachers.roster import check_served
from globe.curation.teachers.teacher import Teacher
from globe.data.completeness import FIRST_IDS, Completeness, Unusable, completeness_of, write_completeness
from globe.data.named import Given
from globe.data.registry import DataSet
from globe.data.rows import Row
from globe.data.seen import DUPLICATE_PICTURE
from globe.data.shards import read_dataset
from globe.errors import GlobeError, InputError
from globe.files import json_line, write_json
from globe.geo.verdict import Truth

RESULT_NAME = "curation.json"
DECISIONS_NAME = "decisions.jsonl"
Item = TypeVar("Item")


@dataclass(frozen=True)
class About:
    """What a record says of a source.

    Attributes:
        name: The data set's, or the file's.
        world: The source itself, where it is a toy world, by whose truth the curation is measured.
        checked: Whether it is held against the limit of lost rows: a dataset of our own was when it was made.
        data_set: The known data set that it is, if it is one.
        max_unusable_percent: Share of the rows that may be lost.
    """

    name: str
    world: Path | None = None
    checked: bool = False
    data_set: DataSet | None = None
    max_unusable_percent: float = 100.0

    @classmethod
    def of(cls, given: Given, max_unusable_percent: float) -> About:
        """What is to be said of a source that was found."""
        world = given.path if given.is_dataset else None
        return cls(given.name, world, not given.is_dataset, given.data_set, max_unusable_percent)

    def completeness(self, rows: int, lost: Mapping[str, Unusable]) -> Completeness:
        """What came of reading it: how many rows it lists, and how many are lost, by reason."""
        usable = rows - sum(one.n for one in lost.values())
        known = self.data_set
        record = completeness_of(self.name, rows, usable, {}, *((known.rows, known.source, known.licence) if known else ()))
        return replace(record, unusable=record.unusable | dict(lost))


def check_lost(about: About, lost: Mapping[str, Unusable], rows: int, out: Path) -> None:
    """Stop before teachers are asked any more where so much is lost already that the whole cannot be used.

    Args:
        about: The source.
        lost: What the parts that have been read have lost, by reason.
        rows: Rows of the whole source.
        out: Where the counts are written.

    Raises:
        InputError: More rows of these parts are lost than may be of the whole.
    """
    record = about.completeness(rows, lost)
    record.check(about.max_unusable_percent, write_completeness(out, record))


def merge_parts(
    about: About, parts: Sequence[PartFiles], out: Path, teachers: list[Teacher], recipe: CurationRecipe, report: Progress
) -> dict[str, Any]:
    """Put all parts of a source together: write the sets, why each picture is in them or not and, last, curation.json.

    Args:
        about: The source.
        parts: All of its parts, in order; each read and asked about.
        out: The curated folder.
        teachers: Those that were asked.
        recipe: The recipe.
        report: Called as (rows done, rows in all, what is worth seeing).

    Returns:
        The content of curation.json.

    Raises:
        InputError: No picture can be used, or too few.
        GlobeError: A row is unaccounted for.
    """
    out.mkdir(parents=True, exist_ok=True)
    with Duplicates() as duplicates:
        known = learn(parts, teachers, recipe, duplicates, report)
        if known.rows == sum(one.n for one in known.lost.values()):
            reasons = ", ".join(f"{reason}: {one.n}" for reason, one in known.lost.items())
            raise InputError(f"{about.name}: no usable picture{f' ({reasons})' if reasons else ''}")
        completeness = about.completeness(known.rows, known.lost)
        if about.checked:
            completeness.check(about.max_unusable_percent, write_completeness(out, completeness))
        (out / RESULT_NAME).unlink(missing_ok=True)
        result = write_judged(parts, out, known, teachers, recipe, report, about.world)
    write_funnel(out, result)
    write_card(out, result, recipe, completeness)
    write_json(out / RESULT_NAME, result)
    report(known.rows, known.rows, f"kept {result['kept']} of {result['in']} ({result['kept'] / result['in']:.0%})")
    return result


def add_lost(lost: dict[str, Unusable], more: Mapping[str, Unusable]) -> None:
    """Add to the counts of lost rows, by reason."""
    for reason, added in more.items():
        before = lost.get(reason, Unusable(0))
        lost[reason] = Unusable(before.n + added.n, [*before.first, *added.first][:FIRST_IDS])


@dataclass
class Learned:
    """What the first pass knows of the whole source.

    Attributes:
        splitter: Which pictures are held out.
        duplicates: Which rows are duplicates, by their number.
        vocabulary: What teachers list for any picture.
        tallies: By teacher, how its calls ended.
        lost: Of the rows that could not be read, or that another row has already, how many and the first ids, by reason.
        rows: All rows that the source lists.
    """

    splitter: Splitter
    duplicates: Duplicates
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    tallies: dict[str, TeacherFigures] = field(default_factory=dict)
    lost: dict[str, Unusable] = field(default_factory=dict)
    rows: int = 0

    def lose(self, reason: str, row_id: str) -> None:
        """Count a row that is no picture of its own."""
        add_lost(self.lost, {reason: Unusable(1, [row_id])})


def learn(
    parts: Sequence[PartFiles], teachers: list[Teacher], recipe: CurationRecipe, duplicates: Duplicates, report: Progress
) -> Learned:
    """First pass.

    Args:
        parts: All parts, in the source's order; each read and asked about.
        teachers: Those that were asked.
        recipe: The recipe.
        duplicates: Where those that are found are noted.
        report: Called as (rows done, rows in all, what is worth seeing).

    Raises:
        InputError: A part has lost rows since it was read, or two VLMs' replies are from the same model.
    """
    own_split = any(part.has_tests() for part in parts)
    splitter = Splitter(recipe, own_split, {name: facts_of_set(given) for name, given in test_sets_of(recipe).items()})
    known = Learned(splitter, duplicates, tallies={teacher.model: TeacherFigures(teacher) for teacher in teachers})
    total = sum(part.listed() for part in parts)
    for part in parts:
        pictures, before = part.pictures(), known.rows
        with open_replies(part) as log:
            answers = Answers(teachers, log)
            for item in interleaved(part.facts(), part.refused()):
                _learn_one(item, known, pictures, answers)
                known.rows += 1
                report(known.rows, total, "compared")
        part.check_whole(known.rows - before)
    check_served({model: figures.served for model, figures in known.tallies.items()})
    return known


def _learn_one(item: Facts | Refused, known: Learned, pictures: Pictures, answers: Answers) -> None:
    if isinstance(item, Refused):
        repeated = known.duplicates.repeats(item.id, bytes.fromhex(item.sha256)) if item.sha256 else ""
        known.lose(repeated or item.reason, item.id)
    else:
        repeated = known.duplicates.repeats(item.id, item.sha256)
        digest = pictures.digests.get(item.id)
        if not repeated and digest is not None and not known.duplicates.add_sent(digest):
            repeated = DUPLICATE_PICTURE
        if repeated:
            known.lose(repeated, item.id)
        elif digest is not None:
            for record in answers.about(digest):
                known.tallies[record.teacher].add(record)
                known.vocabulary.learn(record)
            known.splitter.learn(item)
    if repeated:
        known.duplicates.note(known.rows, repeated)
        sha256 = bytes.fromhex(item.sha256) if isinstance(item, Refused) else item.sha256
        known.splitter.learn_repeated(item.id, sha256, item.split)


def write_judged(
    parts: Sequence[PartFiles],
    out: Path,
    known: Learned,
    teachers: list[Teacher],
    recipe: CurationRecipe,
    report: Progress,
    world: Path | None = None,
) -> dict[str, Any]:
    """Second pass: judge every picture from the replies, and write the sets and why each picture is in them or not.

    Args:
        parts: As `learn` saw them.
        out: The curated folder.
        known: What `learn` found.
        teachers: Those that were asked.
        recipe: The recipe.
        report: As in `learn`.
        world: The toy world that the source is, by which the curation is measured.

    Returns:
        The content of curation.json.

    Raises:
        GlobeError: A row is unaccounted for.
    """
    measure = Measure.of(world) if world else None
    counts = {outcome: Counter[str]() for outcome in ("kept", "dropped", "quarantined")}
    with Outputs(out, recipe) as outputs, (out / DECISIONS_NAME).open("w", encoding="utf-8") as decisions:
        for number, one in enumerate(judged(parts, known, teachers, recipe), start=1):
            if isinstance(one, Judged):
                if not one.decision.reason:
                    outputs.add(one.row, one.decision.split, one.verdict, one.evidence)
                if measure is not None:
                    measure.add(one.row.id, one.evidence.vlms, one.verdict)
            told = one.told()
            counts[told["outcome"]][told["reason"]] += 1
            decisions.write(json_line(told))
            report(number, known.rows, f"{counts['kept'].total()} kept")
    sizes = outputs.rows
    result = {
        "in": known.rows,
        "kept": counts["kept"].total(),
        "dropped": dict(counts["dropped"].most_common()),
        "quarantined": dict(counts["quarantined"].most_common()),
        "splits": {"train": sizes["sft"], "test": sizes["test"], "reward_model": sizes["reward_model"]},
        "pool": sizes["pool"],
        "teachers": {teacher.spec: known.tallies[teacher.model].figures() for teacher in teachers},
        "leakage": known.splitter.report(),
        "measured": measure.figures() if measure is not None else None,
    }
    check_sum(result)
    return result


@dataclass(frozen=True)
class Judged:
    """A picture, and what becomes of it.

    Attributes:
        row: The picture.
        evidence: What was replied about it.
        verdict: What the rules make of that.
        decision: Where it belongs. One that gives a test picture away is used for nothing, whatever was said about it.
    """

    row: Row
    evidence: Evidence
    verdict: Verdict
    decision: Decision

    def told(self) -> dict[str, Any]:
        """What decisions.jsonl says of it."""
        told = {"id": self.row.id, "split": self.decision.split, **self.verdict.told()}
        if not self.decision.reason:
            return told
        leak = {"leak_of": self.decision.leak_of, "test_set": self.decision.test_set}
        return told | {"outcome": "dropped", "reason": self.decision.reason} | {key: of for key, of in leak.items() if of}


@dataclass(frozen=True)
class Quarantined:
    """A row that is no picture of its own, or one that nobody could be asked about."""

    id: str
    reason: str

    def told(self) -> dict[str, Any]:
        """What decisions.jsonl says of it."""
        return {"id": self.id, "split": None, "outcome": "quarantined", "reason": self.reason}


def judged(
    parts: Sequence[PartFiles], known: Learned, teachers: list[Teacher], recipe: CurationRecipe
) -> Iterator[Judged | Quarantined]:
    """Judge all rows, in the source's order.

    Args:
        parts: As `learn` saw them.
        known: What `learn` found.
        teachers: Those that were asked.
        recipe: The recipe.
    """
    number = 0
    decisions = known.splitter.decisions(_to_be_judged(parts, known))
    for part in parts:
        pictures = part.pictures()
        with open_replies(part) as log:
            answers = Answers(teachers, log)
            for item in interleaved(read_dataset(part.data), part.refused()):
                reason = _reason(item, number, known, pictures)
                number += 1
                if reason or isinstance(item, Refused):
                    yield Quarantined(item.id, reason)
                    continue
                evidence = Evidence.of(answers.about(pictures.digests[item.id]))
                truth = Truth(item.country, item.city, item.lat_deg, item.lon_deg)
                yield Judged(item, evidence, judge(truth, evidence, known.vocabulary, recipe), next(decisions))


def _to_be_judged(parts: Sequence[PartFiles], known: Learned) -> Iterator[Facts]:
    """The pictures that are not quarantined, in a stream of their own, because their splits are decided in batches."""
    number = 0
    for part in parts:
        pictures = part.pictures()
        for item in interleaved(part.facts(), part.refused()):
            if not (_reason(item, number, known, pictures) or isinstance(item, Refused)):
                yield item
            number += 1


def _reason(item: Facts | Row | Refused, number: int, known: Learned, pictures: Pictures) -> str:
    """Why a row is quarantined; "" if it is judged."""
    own = item.reason if isinstance(item, Refused) else pictures.quarantined.get(item.id, "")
    return known.duplicates.reason(number) or own


def check_sum(result: dict[str, Any]) -> None:
    """Check that every row that came in was kept, dropped for one reason or quarantined for one.

    Raises:
        GlobeError: It does not add up.
    """
    out = result["kept"] + sum(result["dropped"].values()) + sum(result["quarantined"].values())
    if out != result["in"]:
        raise GlobeError(
            f"{result['in']} rows came in, but {out} are accounted for (kept {result['kept']}, dropped {result['dropped']}, "
            f"quarantined {result['quarantined']}): this is a bug, please report it; no result was written"
        )


def interleaved(items: Iterable[Item], refused: Iterable[Refused]) -> Iterator[Item | Refused]:
    """The rows of a part as its source lists them: the usable ones, with the refused ones in their places."""
    waiting = iter(refused)
    lost = next(waiting, None)
    for number, item in enumerate(items):
        while lost is not None and lost.before <= number:
            yield lost
            lost = next(waiting, None)
        yield item
    while lost is not None:
        yield lost
        lost = next(waiting, None)
