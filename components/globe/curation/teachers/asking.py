"""The first pass of a curation: every picture goes to every teacher, and each reply to replies.jsonl at once.

What got no usable reply is asked again when everything else has been: a teacher that fails now and then costs time, no pictures.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import stamina

from globe.curation.recipe import Asking, CurationRecipe
from globe.curation.teachers.client import TeacherClient
from globe.curation.teachers.health import check_health
from globe.curation.teachers.questions import Question, about_classes, about_pair, about_picture, pairs_of
from globe.curation.teachers.replies import Record, ReplyLog
from globe.curation.teachers.roster import Roster
from globe.curation.teachers.teacher import Teacher
from globe.data.images import TooManyPixelsError, data_url, reencode
from globe.data.pictures import TOO_LARGE, UNREADABLE
from globe.data.rows import Row
from globe.data.shards import count_rows, read_dataset
from globe.errors import GlobeError, InputError, first_error

Progress = Callable[[int, int, str], None]

HOW_TO_ASK = set(Asking.model_fields)
"""The recipe's fields that count here; the others say what becomes of the replies."""
BATCH_ROWS, BATCHES_AHEAD = 8, 8
"""Rows that are prepared for sending together, and how many such batches are begun before the first of them is asked about."""
PREPARING_THREADS = 2
"""Decoding leaves the interpreter, and then waits to get it back; each thread more takes the memory of another large picture."""


@dataclass
class Asked:
    """What the first pass learned about the source.

    Attributes:
        rows: How many pictures it has.
        digests: By id, the picture's digest, which goes into the key of a question about it.
        quarantined: By id, why a picture could not be sent.
        unanswered: Questions that got no answer in any round; the next run asks them again.
    """

    rows: int = 0
    digests: dict[str, bytes] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)
    unanswered: int = 0


def ask_teachers(folder: Path, teachers: list[Teacher], recipe: CurationRecipe, log: ReplyLog, report: Progress) -> Asked:
    """Ask every teacher about every picture and log the replies; questions that the log already answers aren't asked again.

    Args:
        folder: The source dataset.
        teachers: Whom to ask, each model once (`globe.curation.teachers.teacher.join_replicas`).
        recipe: How to ask: concurrency, time limit, retries, and how much may fail.
        log: Where replies go.
        report: Called as (pictures done, pictures in all, figure worth seeing).

    Returns:
        What was learned about the source.

    Raises:
        InputError: The source is damaged, a teacher never answered, or is not the model that it is named as (`roster`).
        GlobeError: A teacher failed on more than the recipe's share of pictures, or has fallen silent; or the log can't be
            written.
    """
    asked = Asked()
    with _quiet_retries():
        asyncio.run(_ask_all(folder, asked, teachers, recipe, log, report))
    return asked


@contextmanager
def _quiet_retries() -> Iterator[None]:
    """Keep stamina from logging every retry: they are counted in curation.json."""
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks(())
    try:
        yield
    finally:
        stamina.instrumentation.set_on_retry_hooks(hooks)


async def _ask_all(
    folder: Path,
    asked: Asked,
    teachers: list[Teacher],
    recipe: CurationRecipe,
    log: ReplyLog,
    report: Progress,
) -> None:
    async with AsyncExitStack() as stack:
        roster = Roster(teachers, log.served)
        clients = [await stack.enter_async_context(TeacherClient(teacher, recipe, roster)) for teacher in teachers]
        asking = _Asking(clients, recipe, log, report, count_rows(folder))
        failure: BaseException | None = None
        try:
            await asking.meet()
            await asking.ask_about_classes()
            for number in range(recipe.rounds):
                rows = read_dataset(folder)
                if number == 0:
                    await asking.go_through(_read(rows, recipe.max_side_px, asked), last=recipe.rounds == 1)
                elif again := asking.begin_next_round():
                    rest = (row for row in rows if row.id in again)
                    await asking.go_through(_read(rest, recipe.max_side_px, Asked()), last=number == recipe.rounds - 1)
            asked.unanswered = asking.unanswered
        except* GlobeError as errors:
            failure = first_error(errors)  # raised outside of this block, where Python 3.11.2 would make a group of it again
        if failure:
            raise failure


class _Asking:
    """The state of one pass: who is asked, and how far it is."""

    def __init__(self, clients: list[TeacherClient], recipe: CurationRecipe, log: ReplyLog, report: Progress, total: int) -> None:
        self._lookers = [client for client in clients if client.teacher.looks]
        self._aligners = [client for client in clients if not client.teacher.looks]
        self._recipe = recipe
        self._log = log
        self._report = report
        self._total = total
        self._counts = Counter[str]()
        self._unanswered: dict[str, str] = {}
        """By question, the picture that it is about."""
        self._in_progress: set[str] = set()
        self._first_round = True
        most_servers = max(len(client.teacher.urls) for client in clients)
        self._in_flight = asyncio.Semaphore(2 * recipe.concurrency * most_servers)

    async def meet(self) -> None:
        """Have all servers say what they serve."""
        async with asyncio.TaskGroup() as group:
            for client in (*self._lookers, *self._aligners):
                group.create_task(client.meet())

    async def ask_about_classes(self) -> None:
        """Ask segmentation models what they can tell apart: once, before anybody is asked about pictures."""
        for client in (client for client in self._lookers if client.teacher.kind == "segmentation"):
            question = about_classes(client.teacher)
            for number in range(self._recipe.rounds):
                if not self._log.is_finished(question.key):
                    client.tally.failures = client.tally.again = 0
                    await self._ask(client, question, last=number == self._recipe.rounds - 1)
            check_health(client.teacher, client.tally, self._recipe, last=True)

    async def go_through(self, pictures: AsyncIterator[_Prepared], last: bool) -> None:
        """Ask everyone about pictures.

        Args:
            pictures: The pictures; one that nobody is to be asked about has no URL, and only counts.
            last: Whether a malformed reply counts as the teacher's answer.
        """
        async with asyncio.TaskGroup() as group:
            async for picture in pictures:
                if not picture.url:
                    self._step()
                    continue
                await self._in_flight.acquire()
                group.create_task(self._ask_about(picture, last))
        for client in (*self._lookers, *self._aligners):
            check_health(client.teacher, client.tally, self._recipe, last=True)

    @property
    def unanswered(self) -> int:
        """How many questions have got no answer."""
        return len(self._unanswered)

    def begin_next_round(self) -> set[str]:
        """The pictures with a question that got no answer; they are asked about again, so they don't count as failures yet."""
        again = set(self._unanswered.values())
        self._counts["done"] -= len(again)
        for client in (*self._lookers, *self._aligners):
            client.tally.failures = client.tally.again = 0
        self._first_round = False
        return again

    async def _ask_about(self, picture: _Prepared, last: bool) -> None:
        try:
            questions = [about_picture(client.teacher, picture.row_id, picture.digest, picture.url) for client in self._lookers]
            records = await self._ask_together(zip(self._lookers, questions, strict=True), last)
            pairs = list(pairs_of(records)) if self._aligners else []
            compared = [(client, about_pair(client.teacher, picture.row_id, pair)) for client in self._aligners for pair in pairs]
            await self._ask_together(compared, last)
        finally:
            self._in_flight.release()
        self._step()

    async def _ask_together(self, calls: Iterable[tuple[TeacherClient, Question]], last: bool) -> list[Record]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(client, question, last)) for client, question in calls]
        return [record for task in tasks if (record := task.result()) is not None]

    async def _ask(self, client: TeacherClient, question: Question, last: bool) -> Record | None:
        """Ask, unless the log knows the answer, and log the reply; the same question of two pictures is asked once."""
        if self._log.is_finished(question.key):
            self._counts["remembered"] += self._first_round
            client.tally.remembered += self._first_round
            return self._log.get(question.key) if self._aligners else None
        if question.key in self._in_progress:
            return None
        self._log.check_room()
        self._in_progress.add(question.key)
        try:
            record = await client.ask(question, last, again=self._log.was_asked(question.key))
            self._log.append(record)
        finally:
            self._in_progress.discard(question.key)
        self._counts["replies"] += 1
        self._counts["unusable"] += record.status != "ok"
        if self._log.is_finished(question.key):
            self._unanswered.pop(question.key, None)
        else:
            self._unanswered[question.key] = question.row_id
        check_health(client.teacher, client.tally, self._recipe, last=False)
        return record

    def _step(self) -> None:
        counts = self._counts
        counts["done"] += 1
        parts = [f"{counts['replies']} replies", f"{counts['unusable']} unusable"]
        parts += [f"{counts['remembered']} from before"] if counts["remembered"] else []
        self._report(counts["done"], self._total, ", ".join(parts))


@dataclass(frozen=True)
class _Prepared:
    """A picture as it is sent.

    Attributes:
        row_id: Its id.
        url: The picture as a `data:` URL; empty if nobody is asked about it.
        digest: Its digest.
        reason: Why it could not be sent.
    """

    row_id: str
    url: str = ""
    digest: bytes = b""
    reason: str = ""


async def _read(rows: Iterator[Row], max_side_px: int, asked: Asked) -> AsyncIterator[_Prepared]:
    """Read pictures and prepare them for sending, some ahead in threads: both would hold up calls in flight.

    What it finds goes into `asked`, in the rows' order.
    """
    loop, seen = asyncio.get_running_loop(), set[bytes]()
    ahead: deque[asyncio.Future[list[_Prepared]]] = deque()

    def prepare(some: list[Row]) -> list[_Prepared]:
        return [_prepare(row, max_side_px) for row in some]

    with ThreadPoolExecutor(PREPARING_THREADS) as threads:
        try:
            while (some := await asyncio.to_thread(list, islice(rows, BATCH_ROWS))) or ahead:
                if some:
                    ahead.append(loop.run_in_executor(threads, prepare, some))
                if len(ahead) == BATCHES_AHEAD or not some:
                    for picture in await ahead.popleft():
                        yield _noted(picture, asked, seen)
        finally:
            for batch in ahead:
                batch.cancel()


def _noted(picture: _Prepared, asked: Asked, seen: set[bytes]) -> _Prepared:
    asked.rows += 1
    if picture.reason:
        asked.quarantined[picture.row_id] = picture.reason
        return picture
    asked.digests[picture.row_id] = picture.digest
    if picture.digest in seen:  # a duplicate, which the merge finds: the same questions are asked already
        return _Prepared(picture.row_id)
    seen.add(picture.digest)
    return picture


def _prepare(row: Row, max_side_px: int) -> _Prepared:
    image = as_sent(row, max_side_px)
    if isinstance(image, str):
        return _Prepared(row.id, reason=image)
    return _Prepared(row.id, data_url(image), hashlib.sha256(image).digest())


def as_sent(row: Row, max_side_px: int) -> bytes | str:
    """A picture for sending, without the metadata that could give its position away; or why nobody can be asked about it."""
    if not row.country:
        return "no_country"
    try:
        return reencode(row.image, max_side_px)
    except TooManyPixelsError:
        return TOO_LARGE
    except InputError:
        return UNREADABLE
