"""The first pass of a curation: every picture goes to every teacher, and each reply to replies.jsonl at once."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import stamina

from globe.curation.recipe import CurationRecipe
from globe.curation.replies import ReplyLog
from globe.curation.teachers import Teacher, TeacherClient
from globe.data.images import TooManyPixelsError, reencode
from globe.data.pictures import TOO_LARGE, UNREADABLE
from globe.data.rows import Row
from globe.data.shards import count_rows, read_dataset
from globe.errors import GlobeError, InputError, first_error
from globe.keys import TEACHER_KEY, why_withheld

Progress = Callable[[int, int, str], None]

HOW_TO_ASK = {"max_side_px", "concurrency", "timeout_s", "retries", "max_failed_share"}
"""The recipe's fields that count here; the others say what becomes of the replies."""
# A teacher that has never answered is given up on after this many pictures; one that sometimes answers gets more.
_HOPELESS_PICTURES = 8
_JUDGED_PICTURES = 20
_LARGE_BYTES = 64 * 1024


@dataclass
class Asked:
    """What the first pass learned about the source.

    Attributes:
        rows: How many pictures it has.
        digests: By id, the picture's digest, which goes into the key of a question about it.
        quarantined: By id, why a picture could not be sent.
    """

    rows: int = 0
    digests: dict[str, bytes] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Share:
    """One of several equal parts of a source, for annotators that work side by side."""

    index: int
    of: int

    def has(self, row_id: str) -> bool:
        """Tell whether a picture belongs to this part: decided by a hash of its id, so pictures stay put when a source grows."""
        return int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:8], "big") % self.of == self.index


MOST_SHARES = 256
WHOLE = Share(0, 1)


def share_numbers(count: int) -> list[int]:
    """Number the parts that a source is divided into, from 0.

    Raises:
        InputError: The count is 0, or larger than makes sense.
    """
    if not 1 <= count <= MOST_SHARES:
        raise InputError(f"annotators: {count}: give 1 to {MOST_SHARES}")
    return list(range(count))


def ask_teachers(
    folder: Path, teachers: list[Teacher], recipe: CurationRecipe, log: ReplyLog, report: Progress, share: Share = WHOLE
) -> Asked:
    """Ask every teacher about every picture and log the replies; questions that the log already answers aren't asked again.

    Args:
        folder: The source dataset.
        teachers: Whom to ask.
        recipe: How to ask: concurrency, time limit, retries, and the share of failed pictures that is still acceptable.
        log: Where replies go.
        report: Called as (pictures done, pictures in all, figure worth seeing).
        share: Ask only about this part of the source.

    Returns:
        What was learned about the source, or its part.

    Raises:
        InputError: The source is damaged, or a teacher never answered.
        GlobeError: A teacher failed on more than the recipe's share of pictures.
    """
    asked = Asked()
    with _quiet_retries():
        asyncio.run(_ask_all(folder, asked, share, teachers, recipe, log, report))
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
    share: Share,
    teachers: list[Teacher],
    recipe: CurationRecipe,
    log: ReplyLog,
    report: Progress,
) -> None:
    total = count_rows(folder) // share.of
    in_flight = asyncio.Semaphore(2 * recipe.concurrency)
    counts = Counter[str]()
    seen: set[bytes] = set()

    async def ask_about(row_id: str, image: bytes, digest: bytes) -> None:
        try:
            await asyncio.gather(*(ask(client, row_id, image, digest) for client in clients))
        finally:
            in_flight.release()
        step()

    async def ask(client: TeacherClient, row_id: str, image: bytes, digest: bytes) -> None:
        key = client.teacher.key(digest)
        if log.is_finished(key):
            counts["remembered"] += 1
            client.tally.remembered += 1
            return
        record = await client.ask(row_id, key, image)
        log.append(record)
        counts["replies"] += 1
        counts["unusable"] += record.status != "ok"
        _check_health(client, recipe, last=False)

    def step() -> None:
        counts["done"] += 1
        parts = [f"{counts['replies']} replies", f"{counts['unusable']} unusable"]
        parts += [f"{counts['remembered']} from before"] if counts["remembered"] else []
        report(counts["done"], max(total, counts["done"]), ", ".join(parts))  # a part may be slightly larger than total / of

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(TeacherClient(t, recipe.concurrency, recipe.timeout_s, recipe.retries))
            for t in teachers
        ]
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for row in read_dataset(folder):
                    if not share.has(row.id):
                        continue
                    asked.rows += 1
                    # Scaling a large photo takes long enough to hold up the calls in flight; a small one costs less
                    # than handing it to a thread.
                    if len(row.image) > _LARGE_BYTES:
                        prepared = await asyncio.to_thread(_prepare, row, recipe.max_side_px, seen)
                    else:
                        prepared = _prepare(row, recipe.max_side_px, seen)
                    if isinstance(prepared, str):
                        asked.quarantined[row.id] = prepared
                        step()
                        continue
                    digest = hashlib.sha256(prepared).digest()
                    asked.digests[row.id] = digest
                    await in_flight.acquire()
                    group.create_task(ask_about(row.id, prepared, digest))
        except* GlobeError as errors:
            failure = first_error(errors)  # raised outside of this block, where Python 3.11.2 would make a group of it again
        if failure:
            raise failure
        for client in clients:
            _check_health(client, recipe, last=True)


def _prepare(row: Row, max_side_px: int, seen: set[bytes]) -> bytes | str:
    """Encode a picture for sending, without the metadata that could give its position away; or say why it can't be used."""
    if not row.country:
        return "no_country"
    try:
        image = reencode(row.image, max_side_px)
    except TooManyPixelsError:
        return TOO_LARGE
    except InputError:
        return UNREADABLE
    digest = hashlib.sha256(image).digest()
    if digest in seen:
        # The same picture under two ids could be in training and test at once.
        return "duplicate_picture"
    seen.add(digest)
    return image


def _check_health(client: TeacherClient, recipe: CurationRecipe, last: bool) -> None:
    """Stop when a teacher fails too often: without it little can be verified, and a thin result would still look fine.

    Raises:
        InputError: It has never answered, so most likely the URL is wrong or it isn't running.
        GlobeError: It answers, but too rarely.
    """
    tally, teacher = client.tally, client.teacher
    finished = tally.ok + tally.failures
    where = f"teacher {teacher.model} at {teacher.url}"
    # The few pictures that an earlier run left unanswered may well be the ones that never work.
    hopeless = tally.failures >= _HOPELESS_PICTURES or (last and not tally.remembered)
    if tally.failures and not tally.ok and hopeless:
        raise InputError(
            f"{where} gave no usable reply to any of {finished} pictures ({tally.last_failure}); "
            f"{why_withheld(teacher.url, TEACHER_KEY) or 'check that it runs and the URL is right'}, "
            "then run again: replies so far are kept"
        )
    if tally.failures > recipe.max_failed_share * finished and (finished >= _JUDGED_PICTURES):
        raise GlobeError(
            f"{where} gave no usable reply to {tally.failures} of {finished} pictures ({tally.last_failure}), "
            f"over max_failed_share {recipe.max_failed_share:g}; run again to go on: replies so far are kept"
        )
