"""One part of a source: read, then asked about. On a laptop the parts take turns, on a cluster pods do them side by side.

A step that is finished is told by a file that it writes last: `read.json`, `asked.json`. So a part that was killed, or whose
teachers were away, goes on alone where it stopped, and a finished one is not touched again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from globe.curation.earlier import EarlierReplies, PartLog
from globe.curation.guard.facts import FACTS_NAME, Facts, facts_of, read_facts, write_facts
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.asking import Progress, ask_teachers
from globe.curation.teachers.questions import picture_key
from globe.curation.teachers.replies import REPLIES_NAME, ReplyLog
from globe.curation.teachers.teacher import Teacher
from globe.data.completeness import FIRST_IDS, Unusable
from globe.data.listing import changes
from globe.data.named import Given
from globe.data.parts import Part
from globe.data.rows import Row
from globe.data.seen import DUPLICATE_ID, DUPLICATE_PICTURE
from globe.data.shards import DatasetWriter, count_rows, dataset_digest, read_dataset, read_manifest
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError
from globe.files import file_sha256, json_line, write_json
from globe.storage import have

READ_NAME = "read.json"
ASKED_NAME = "asked.json"
REFUSED_NAME = "refused.jsonl"
PICTURES_NAME = "pictures.json"


@dataclass(frozen=True)
class Refused:
    """A row of a source that could not become a picture.

    Attributes:
        id: As the source names it.
        reason: Why.
        before: How many usable rows of its part stand before it.
        sha256: Of its picture, in hexadecimal, if it was refused for repeating a row of its part; else "".
        split: As the source has it, likewise.
    """

    id: str
    reason: str
    before: int
    sha256: str = ""
    split: str = ""


class _Told(SourceReport):
    """What is told while a part is read, with the place of each refusal."""

    def __init__(self, tells_listing: bool) -> None:
        super().__init__(tells_listing=tells_listing)
        self.usable = 0
        self.refusals: list[Refused] = []

    def refuse(self, reason: str, row_id: str) -> None:
        super().refuse(reason, row_id)
        self.refusals.append(Refused(row_id, reason, self.usable))

    def in_order(self) -> Iterator[Refused]:
        """The refusals in their order, repeats with their pictures' hashes and their splits."""
        repeats = iter(self.repeats)
        for one in self.refusals:
            if one.reason in (DUPLICATE_ID, DUPLICATE_PICTURE):
                _, sha256, split = next(repeats)
                one = replace(one, sha256=sha256.hex(), split=split)
            yield one


@dataclass(frozen=True)
class Pictures:
    """What asking learned about a part's pictures: the digests by which replies are found, or why a picture was not sent."""

    digests: Mapping[str, bytes]
    quarantined: Mapping[str, str]


@dataclass(frozen=True)
class PartFiles:
    """Where the two steps of a part left what they found.

    Attributes:
        data: The dataset of its usable rows.
        read: Folder with what else reading it told.
        asked: Folder with the teachers' replies.
    """

    data: Path
    read: Path
    asked: Path

    @property
    def is_read(self) -> bool:
        """Whether the first step is finished, and what others read of it is still there."""
        return all((self.read / name).is_file() for name in (READ_NAME, REFUSED_NAME, FACTS_NAME))

    def listed(self) -> int:
        """Rows that the source lists in this part, usable or not."""
        return int(_content(self.read / READ_NAME)["listed"])

    def lost(self) -> dict[str, Unusable]:
        """How many of them could not become pictures, and the first ids, by reason."""
        return {reason: Unusable(**one) for reason, one in _content(self.read / READ_NAME)["lost"].items()}

    def facts(self) -> Iterator[Facts]:
        """The usable rows without their bytes, in the source's order."""
        return read_facts(have(self.read / FACTS_NAME))

    def refused(self) -> Iterator[Refused]:
        """The rows that could not become pictures, in the source's order."""
        path = self.read / REFUSED_NAME
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    yield Refused(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise InputError(f"{path}: damaged ({error}); remove it, and it is made again") from None

    def has_tests(self) -> bool:
        """Whether the source names rows of this part to test with, those that repeat others among them."""
        return read_manifest(self.data).splits.get("test", 0) > 0 or any(one.split == "test" for one in self.refused())

    def check_whole(self, rows: int) -> None:
        """Check that so many rows are all that the source lists in this part.

        Raises:
            InputError: Some have gone since they were read.
        """
        if rows != self.listed():
            raise InputError(
                f"{self.read}: has {rows} of the {self.listed()} rows that were read; remove {self.read / READ_NAME}, and they "
                "are read again: replies are kept"
            )

    def pictures(self) -> Pictures:
        """What asking learned."""
        content = _content(self.asked / PICTURES_NAME)
        digests = {row_id: bytes.fromhex(digest) for row_id, digest in content["digests"].items()}
        return Pictures(digests, content["quarantined"])

    def unanswered(self) -> int:
        """Questions whose calls failed, which may be asked again; 0 where asking is not finished."""
        path = self.asked / ASKED_NAME
        return int(_content(path)["unanswered"]) if path.is_file() else 0

    @property
    def is_asked(self) -> bool:
        """Whether the second step is finished, and the journal as it was then: of a damaged line the question is open again."""
        done, journal = self.asked / ASKED_NAME, self.asked / REPLIES_NAME
        return done.is_file() and journal.is_file() and file_sha256(journal) == _content(done).get("journal_sha256")

    def reopen(self) -> None:
        """Have the teachers asked again what they failed to answer."""
        (self.asked / ASKED_NAME).unlink(missing_ok=True)


def read_part(
    given: Given,
    part: Part,
    files: PartFiles,
    max_side_px: int,
    report: Callable[[int], None],
    keep_remote: bool = False,
    listing: Mapping[str, str] | None = None,
) -> None:
    """First step: make a dataset of a part's usable rows, and note the others. Nothing is done if it is finished already.

    A row that repeats the id or the picture of an earlier one of the part is refused; it repeats it in the whole as well. What
    repeats a row of another part stays: only the merge can tell.

    Args:
        given: The source.
        part: Which of its rows.
        files: Where to. If `files.data` is the source itself, which then is a dataset, it is used as it lies.
        max_side_px: A picture whose longer side exceeds this is scaled down.
        report: Called with the number of rows read.
        keep_remote: Whether to keep pictures far from any place.
        listing: What the source listed when it was cut, if others read other parts of it.

    Raises:
        InputError: The source cannot be read, or does not list the same any more.
    """
    if files.is_read:
        return
    files.read.mkdir(parents=True, exist_ok=True)
    told = _Told(tells_listing=listing is not None)
    if files.data == given.path:
        told.read = count_rows(files.data)
    else:
        rows = _reported(read_source(given, told, max_side_px, keep_remote=keep_remote, part=part), report)
        with DatasetWriter(files.data) as writer:
            for row in rows:
                writer.add(row)
                told.usable += 1
    if listing is not None and (changed := changes(listing, told.listing)):
        raise InputError(
            f"{given.path}: changed since it was cut into parts ({changed}); put it back as it was, or run again when it stays "
            "as it is: what is done is kept"
        )
    with (files.read / REFUSED_NAME).open("w", encoding="utf-8") as lines:
        lines.writelines(json_line(asdict(one)) for one in told.in_order())
    write_facts(files.read / FACTS_NAME, (facts_of(row) for row in read_dataset(files.data)))
    lost = {reason: asdict(Unusable(len(ids), ids[:FIRST_IDS])) for reason, ids in told.quarantined.items()}
    write_json(files.read / READ_NAME, {"listed": told.read, "lost": lost})


def ask_part(
    files: PartFiles,
    teachers: list[Teacher],
    recipe: CurationRecipe,
    report: Progress,
    earlier: EarlierReplies | None = None,
) -> None:
    """Second step: ask the teachers about a part's pictures. Nothing is done if they have been asked the same already.

    Args:
        files: The part, read.
        teachers: Whom to ask.
        recipe: How to ask.
        report: As `globe.curation.teachers.asking.ask_teachers` takes it.
        earlier: Replies of other cuts of this source, which are not asked for again.

    Raises:
        InputError: A teacher never answered.
        GlobeError: A teacher failed on more than the recipe's share of the pictures.
    """
    question = _question(files.data, teachers, recipe)
    done = files.asked / ASKED_NAME
    if files.is_asked and _content(done)["question"] == question:
        return
    files.asked.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    with PartLog(files.asked / REPLIES_NAME, earlier) as log:
        found = ask_teachers(files.data, teachers, recipe, log, report)
    digests = {row_id: digest.hex() for row_id, digest in found.digests.items()}
    write_json(files.asked / PICTURES_NAME, {"digests": digests, "quarantined": found.quarantined})
    _end(files, question, found.unanswered)


def go_on_from(files: PartFiles, before: PartFiles) -> None:
    """Begin the second step with what an earlier one, finished elsewhere, has got: only what had no answer is asked then."""
    files.asked.mkdir(parents=True, exist_ok=True)
    for name in (PICTURES_NAME, REPLIES_NAME):
        if not (files.asked / name).exists():
            partial = files.asked / f"{name}.part"  # a journal that is cut short would have answered questions asked again
            shutil.copyfile(before.asked / name, partial)
            os.replace(partial, files.asked / name)


def end_as_is(files: PartFiles, before: PartFiles) -> None:
    """End the second step after `go_on_from` although a teacher fails: what the earlier step ended with is enough."""
    with ReplyLog(files.asked / REPLIES_NAME) as log:
        unanswered = log.unanswered
    _end(files, _content(before.asked / ASKED_NAME)["question"], unanswered)


def open_replies(files: PartFiles) -> ReplyLog:
    """The replies about a part's pictures; use as a context manager.

    Raises:
        InputError: Some of them have gone, or were changed, since they came.
    """
    if not files.is_asked:
        raise InputError(
            f"{files.asked / REPLIES_NAME}: missing or damaged since its replies came; run again what asks the teachers: "
            "only what is lost is asked for"
        )
    return ReplyLog(files.asked / REPLIES_NAME)


def _end(files: PartFiles, question: Mapping[str, Any], unanswered: int) -> None:
    journal_sha256 = file_sha256(files.asked / REPLIES_NAME)
    write_json(files.asked / ASKED_NAME, {"question": question, "unanswered": unanswered, "journal_sha256": journal_sha256})


def _question(data: Path, teachers: list[Teacher], recipe: CurationRecipe) -> dict[str, Any]:
    """What decides which questions a part has; how patiently they are asked does not."""
    asked = sorted(picture_key(teacher, b"") for teacher in teachers)
    return {"data": dataset_digest(data), "teachers": asked, "max_side_px": recipe.max_side_px}


def _reported(rows: Iterator[Row], report: Callable[[int], None]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        report(number)
        yield row


def _content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        made_by = path.with_name(ASKED_NAME if path.name == PICTURES_NAME else path.name)
        raise InputError(f"{path}: damaged ({error}); remove {made_by}, and it is made again: replies are kept") from None
    return content
