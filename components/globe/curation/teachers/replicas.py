"""The servers of one teacher: which one is asked next, which is left out until it is well, and when none is waited for any more.

A server that fails several times in a row is left alone for a while, then tried with one call; each further failure doubles the
while, and the first answer takes it back. One that asks to be left alone (Retry-After) is, without counting as sick.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

SICK_AFTER = 3
"""Failed calls in a row after which a server is left out."""
FIRST_REST_S, LONGEST_REST_S = 0.5, 30.0
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.1, 600.0
"""For how long a server is left alone at least and at most, whatever it asks for."""

Outcome = Literal["answered", "failed", "neither"]


class Silence(Exception):
    """No server of a teacher has answered for as long as it is waited for."""


@dataclass(eq=False)
class Replica:
    """One server of a teacher, and how it does.

    Attributes:
        url: Its base URL.
        session: Connections to it.
        takes_optional: Whether it takes the optional part of a question; None until it is known.
        met: Whether it has been asked what it serves; whoever does that holds `meeting`.
        calls: How many calls it got in this run.
    """

    url: str
    session: aiohttp.ClientSession
    takes_optional: bool | None = None
    met: bool = False
    meeting: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: int = 0
    in_flight: int = 0
    failures_in_a_row: int = 0
    rests: int = 0
    sick_until: float = 0.0
    busy_until: float = 0.0

    @property
    def sick(self) -> bool:
        """Whether it failed so often in a row that it is left out, or only tried."""
        return self.failures_in_a_row >= SICK_AFTER


class Replicas:
    """The servers of one teacher. Belongs to the event loop that it is made in.

    Args:
        replicas: The servers.
        concurrency: Most calls in flight to each.
        patience_s: How long it may last that none answers.
    """

    def __init__(self, replicas: list[Replica], concurrency: int, patience_s: float) -> None:
        self.all = replicas
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answered = False
        self._silent_since: float | None = None
        self._gave_up = False

    async def take(self) -> Replica:
        """Wait for a server that may be called, the one with the fewest calls in flight; `give_back` it.

        Raises:
            Silence: None answers, and the patience is over.
        """
        in_line = False
        while not (ready := self._ready()):
            turn = self._loop.create_future()
            (self._waiting.appendleft if in_line else self._waiting.append)(turn)
            in_line = True
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # whoever is next must not miss it
                raise
        replica = min(ready, key=lambda replica: (replica.in_flight, replica.calls))
        replica.in_flight += 1
        replica.calls += 1
        if self._waiting and self._ready():
            self._wake()  # a server that is taken back has room for more than one
        return replica

    def give_back(self, replica: Replica, outcome: Outcome) -> None:
        """Say how a call went; "neither" for one that says nothing about the server, such as a refused question."""
        replica.in_flight -= 1
        if outcome == "answered":
            replica.failures_in_a_row, replica.rests, replica.sick_until = 0, 0, 0.0
            self._answered, self._silent_since = True, None
        elif outcome == "failed":
            self._note_failure(replica)
        self._wake()

    def leave_alone(self, replica: Replica, wait_s: float) -> None:
        """Send nothing to a server for as long as it asks for."""
        wait_s = min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S)
        replica.busy_until = max(replica.busy_until, self._loop.time() + wait_s)
        self._loop.call_at(replica.busy_until, self._wake)
        self._note_silence()

    def _ready(self) -> list[Replica]:
        if self._gave_up:
            raise Silence
        return [replica for replica in self.all if self._is_ready(replica)]

    def _is_ready(self, replica: Replica) -> bool:
        now = self._loop.time()
        if replica.in_flight >= self._concurrency or now < replica.busy_until:
            return False
        # Who fails and has never answered is not left alone: most likely its URL is wrong, which should be said soon.
        hopeless = not self._answered and all(one.sick for one in self.all)
        return not replica.sick or hopeless or (now >= replica.sick_until and not replica.in_flight)

    def _note_failure(self, replica: Replica) -> None:
        now = self._loop.time()
        if now >= replica.sick_until:  # else it was sent before the rest began
            replica.failures_in_a_row += 1
        if replica.sick and now >= replica.sick_until:
            replica.sick_until = now + min(LONGEST_REST_S, FIRST_REST_S * 2.0 ** min(replica.rests, 10))
            replica.rests += 1
            self._loop.call_at(replica.sick_until, self._wake)
        self._note_silence()

    def _note_silence(self) -> None:
        now = self._loop.time()
        if self._silent_since is None:
            self._silent_since = now
        away = all(replica.sick or now < replica.busy_until for replica in self.all)
        if away and now - self._silent_since >= self._patience_s:
            self._gave_up = True
            while self._waiting:
                self._wake()

    def _wake(self) -> None:
        """Let the next one in line look whether a server is ready."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
