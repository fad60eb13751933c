"""Asking about many pictures: as many at once as the server is faster with, again after faults, and never twice."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

from globe.asking.call import Caller, CallFailed
from globe.asking.journal import Journal
from globe.asking.pace import Pace, Slots
from globe.asking.recipe import AskingRecipe
from globe.asking.reply import Reply
from globe.data.rows import Row
from globe.errors import GlobeError, first_error

READ_ROWS = 32
"""Rows that are read at a time, while others are asked about."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 20.0
OVERLOADED_PAUSE_S = 1.0
MOST_DOUBLINGS = 10
"""After so many the longest pause is reached; the power of a larger number may be none that a float can hold."""
OUTAGE_CALLS = 64
"""So many failed calls in a row, each after all its tries, mean that nobody answers any more."""
QUIET_S = 10.0
"""The longest time for which a run reports nothing."""

Progress = Callable[[int, int, str], None]
"""Called with answers so far, answers in all, and a figure."""


@dataclass
class Run:
    """Asks a served model about rows and keeps the answers in a journal.

    Attributes:
        url: Base URL of the server.
        model: Name of the served model.
        recipe: How to ask.
        journal: The answers, open for more; those in it are not asked for again.
        progress: Told of the progress.
        pace: Decides how many requests are in flight; None for one that starts anew.
        failed: Why calls failed for good, by picture and sample.
        key: The server's key; empty for the one in GLOBE_API_KEY.
        digest: Digest of the model that every answer must come from; empty if unknown.
    """

    url: str
    model: str
    recipe: AskingRecipe
    journal: Journal
    progress: Progress
    pace: Pace | None = None
    failed: dict[tuple[str, int], Reply] = field(default_factory=dict)
    key: str = field(default="", repr=False)
    digest: str = ""

    def ask(self, rows: Iterator[Row], count: int, most_failed: float) -> None:
        """Ask about every row; memory holds only those that are being asked about.

        Args:
            rows: The rows, which are read as they are needed.
            count: How many there are.
            most_failed: The run ends if more calls than this share of all fail.

        Raises:
            GlobeError: Too many calls failed; the rest is not asked.
        """
        self._total = count * self.recipe.samples
        self._before = len(self.journal.answered)
        self._started = time.monotonic()
        self._most_failed = most_failed * self._total
        self._failures_in_a_row = 0
        asyncio.run(self._ask_all(rows))

    async def _ask_all(self, rows: Iterator[Row]) -> None:
        pace = self.pace or Pace(self.recipe.concurrency, self.recipe.timeout_s)
        slots, places = Slots(pace), asyncio.Semaphore(self.recipe.concurrency)
        beat = asyncio.create_task(self._say_so_when_nothing_comes(slots))
        try:
            async with Caller(self.url, self.model, self.recipe, self.key, self.digest) as caller, asyncio.TaskGroup() as group:
                async for row in _read(rows):
                    for sample in range(self.recipe.samples):
                        if (row.id, sample) not in self.journal.answered:
                            await places.acquire()
                            task = group.create_task(self._one(caller, slots, row, sample))
                            task.add_done_callback(lambda _: places.release())
        except BaseExceptionGroup as errors:
            raise first_error(errors) from errors
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    async def _one(self, caller: Caller, slots: Slots, row: Row, sample: int) -> None:
        reply = await ask(caller, slots, row.image, sample, self.recipe)
        if reply.error:
            self.failed[row.id, sample] = reply
            self._failures_in_a_row += 1
            self._check_health()
        else:
            self.journal.add(row.id, sample, reply)
            self._failures_in_a_row = 0
        self._tell()

    def _check_health(self) -> None:
        """End the run if more calls failed than a result may lack, or so many in a row that nobody answers any more.

        Raises:
            GlobeError: One or the other.
        """
        if len(self.failed) > self._most_failed:
            which = f"{len(self.failed)} of {self._total} calls failed; the first"
        elif self._failures_in_a_row >= OUTAGE_CALLS:
            which = f"the last {self._failures_in_a_row} calls failed, so the rest is not asked; the first"
        else:
            return
        first = next(iter(self.failed.values()))
        kept = len(self.journal.answered)
        more = f"; {kept} answers are kept, and the same command asks for the rest" if kept else ""
        raise GlobeError(f"{self.url}: {which}: {first.error}{more}")

    @property
    def _done(self) -> int:
        return len(self.journal.answered) + len(self.failed)

    def _tell(self, more: str = "") -> None:
        done, passed_s = self._done, time.monotonic() - self._started
        per_s = (done - self._before) / passed_s if passed_s else 0.0
        parts = [f"{per_s / self.recipe.samples:.1f} images/s", f"{_span((self._total - done) / per_s)} left"] if per_s else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        self.progress(done, self._total, ", ".join([*parts, more] if more else parts))

    async def _say_so_when_nothing_comes(self, slots: Slots) -> None:
        while True:
            before = self._done
            await asyncio.sleep(QUIET_S)
            if self._done == before:
                asked_s = slots.paused_s
                why = f"the server asks to wait {_span(asked_s)} more" if asked_s > 0 else "still waiting"
                self._tell(f"no answer for {QUIET_S:.0f} s, {why}")


async def ask(caller: Caller, slots: Slots, image: bytes, sample: int, recipe: AskingRecipe) -> Reply:
    """Ask about a picture until there is an answer, or no more hope of one.

    A server that has too much to do is waited for: its refusals use up no attempts until the time limit of a request is over.
    An empty answer is asked for again, and believed if it stays empty.

    Args:
        caller: The connection.
        slots: Where to wait for permission to send.
        image: PNG, JPEG or WEBP bytes.
        sample: Which of several answers this is to be, from 0.
        recipe: For the number of attempts and the time limit.

    Returns:
        The answer, or the reason why there is none; with the number of calls that it took.
    """
    calls = failures = 0
    waited_s = 0.0
    while True:
        calls += 1
        try:
            async with slots.one():
                sent_at = time.monotonic()
                reply = await _call(caller, slots, image, sample, sent_at)
        except CallFailed as failed:
            failures += 1
            pause_s = _pause_s(failed, failures)
            patient = failed.busy and waited_s + pause_s <= recipe.timeout_s
            if not failed.again or (failures >= recipe.attempts and not patient):
                return Reply(error=failed.reason, attempts=calls)
        else:
            failures += 1
            if reply.text.strip() or failures >= recipe.attempts:
                return replace(reply, attempts=calls)
            pause_s = 0.0
        waited_s += pause_s
        await asyncio.sleep(pause_s)


async def _call(caller: Caller, slots: Slots, image: bytes, sample: int, sent_at: float) -> Reply:
    try:
        reply = await caller.call(image, sample)
    except CallFailed as failed:
        if failed.overloaded:
            slots.overloaded(sent_at, failed.retry_after_s)
        raise
    slots.answered(time.monotonic() - sent_at)
    return reply


def _pause_s(failed: CallFailed, failures: int) -> float:
    """How long to wait before the next try: as the server asks, or twice as long each time, by chance longer or shorter."""
    first_s = OVERLOADED_PAUSE_S if failed.overloaded else FIRST_PAUSE_S
    own_s: float = min(LONGEST_PAUSE_S, first_s * 2.0 ** min(failures - 1, MOST_DOUBLINGS)) * random.uniform(0.5, 1.5)
    return max(failed.retry_after_s, own_s) if failed.retry_after_s else own_s


async def _read(rows: Iterator[Row]) -> AsyncIterator[Row]:
    """Read rows in a thread, because a shard takes a while to check and calls are under way."""
    while some := await asyncio.to_thread(lambda: list(islice(rows, READ_ROWS))):
        for row in some:
            yield row


def _span(seconds: float) -> str:
    """A length of time as people say it."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
