"""How many requests to have in flight: more while that makes a server faster, half as many when it has too much to do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

START_SHARE = 2
LEAST_START = 8
"""The first requests in flight: half of the most, but not fewer than this."""
LEAST_WINDOW_S = 0.1
GAIN = 1.05
"""How much faster a server must get for more requests in flight to be worth it."""
LOSS = 0.97
"""Slower than this share of the best is slower, not noise."""
CAREFUL_STEP = 8
"""After it had too much to do, the number grows by this part of itself instead of doubling."""
PROBE_WINDOWS = 8
"""How many windows in a row a settled number is kept before a higher one is tried again."""
PATIENT_SHARE, QUICK_SHARE = 4, 16
"""More requests in flight may each take longer: none are added while answers take more than the one part of the time limit, and
four times as many at once while they take less than the other."""


class Pace:
    """The number of requests that may be in flight, found by hill climbing on the answers per second.

    A window lasts until as many answers have come as may be in flight. If its rate is better than the best so far, the number
    is doubled, or more; if a higher number made the server no faster, it stays, and goes back if it made it slower.
    """

    def __init__(self, most: int, deadline_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start.

        Args:
            most: The number never exceeds this.
            deadline_s: The time limit of a request, in seconds.
            clock: The time in seconds.
        """
        self.limit = min(most, max(LEAST_START, most // START_SHARE))
        self._most, self._deadline_s, self._clock = most, deadline_s, clock
        self._best_rate, self._best_limit = 0.0, self.limit
        self._careful = False
        self._settled = 0
        self._cut_at = float("-inf")
        self._opened, self._answers = clock(), 0

    def answered(self, latency_s: float) -> None:
        """Learn from an answer that took `latency_s` seconds."""
        self._answers += 1
        passed_s = self._clock() - self._opened
        if self._answers < self.limit or passed_s < LEAST_WINDOW_S:
            return
        self._judge(self._answers / passed_s, latency_s)
        self._open()

    def overloaded(self, sent_at: float) -> None:
        """Halve the number, once for all requests that were under way, because the server refused the one sent at `sent_at`."""
        if sent_at < self._cut_at:
            return
        self._cut_at = self._clock()
        self.limit = max(1, self.limit // 2)
        self._careful, self._settled = True, 0
        self._best_rate, self._best_limit = 0.0, self.limit
        self._open()

    def _open(self) -> None:
        self._opened, self._answers = self._clock(), 0

    def _judge(self, rate: float, latency_s: float) -> None:
        if rate > GAIN * self._best_rate:
            self._best_rate, self._best_limit, self._settled = rate, self.limit, 0
            self._grow(latency_s)
        elif rate < LOSS * self._best_rate and self.limit > self._best_limit:
            self.limit = self._best_limit
        else:
            self._best_rate, self._best_limit = (self._best_rate + rate) / 2, self.limit  # a server's rate changes with time
            self._settled += 1
            if self._settled % PROBE_WINDOWS == 0:
                self._grow(latency_s)

    def _grow(self, latency_s: float) -> None:
        if latency_s > self._deadline_s / PATIENT_SHARE:
            return
        step = self.limit if latency_s > self._deadline_s / QUICK_SHARE else 3 * self.limit
        if self._careful:
            step = max(1, self.limit // CAREFUL_STEP)
        self.limit = min(self._most, self.limit + step)


class Slots:
    """Lets as many requests be in flight as a pace allows, in the order in which they asked."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._taken = 0
        self._free = asyncio.Condition()
        self._resume_at = 0.0
        self._answers_since_refusal = 0

    @property
    def paused_s(self) -> float:
        """How long all requests still wait, because the server asks for it; 0 or less if they do not."""
        return self._resume_at - time.monotonic()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a slot and keep it for a `with` block."""
        async with self._free:
            await self._free.wait_for(lambda: self._taken < self._pace.limit)
            self._taken += 1
        try:
            while (wait_s := self.paused_s) > 0:
                await asyncio.sleep(wait_s)
            yield
        finally:
            self._taken -= 1
            async with self._free:
                self._free.notify(max(0, self._pace.limit - self._taken))

    def answered(self, latency_s: float) -> None:
        """A request was answered after `latency_s` seconds."""
        self._answers_since_refusal += 1
        self._pace.answered(latency_s)

    def overloaded(self, sent_at: float, retry_after_s: float) -> None:
        """A request was refused; if nothing was answered since another was, all wait for as long as the server asks.

        Args:
            sent_at: When it was sent, on the clock of `time.monotonic`.
            retry_after_s: How long the server asks to wait. A lone refusal among answers only holds up the one request.
        """
        if not self._answers_since_refusal:
            self._resume_at = max(self._resume_at, time.monotonic() + retry_after_s)
        self._answers_since_refusal = 0
        self._pace.overloaded(sent_at)
