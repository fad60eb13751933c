"""How much memory requests hold at once: what they have sent and what was made of it, counted until each is answered.

A gateway bounds the size of a body and the number of requests, but the product of the two is more than any pod has. So bytes are
counted, too, and a request for which there is no room now is told to come again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from globe.gateway.refused import Refused

RETRY_AFTER_S = 2.0
_held: ContextVar[Held | None] = ContextVar("held", default=None)


class Memory:
    """The bytes that all requests of a gateway may hold together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    @contextmanager
    def request(self) -> Iterator[Held]:
        """One request, for as long as a `with` block lasts; `hold` counts for it meanwhile."""
        held = Held(self)
        token = _held.set(held)
        try:
            yield held
        finally:
            _held.reset(token)
            self.held_bytes -= held.count_bytes


class Held:
    """What one request holds."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.count_bytes = 0

    def add(self, count_bytes: int) -> None:
        """Hold more, which may be less than nothing.

        Raises:
            Refused: 503; there is no room for it now.
        """
        if count_bytes > 0 and self._memory.held_bytes + count_bytes > self._memory.limit_bytes:
            message = "too many large requests at this moment; try again"
            raise Refused(503, message, "overloaded", retry_after_s=RETRY_AFTER_S)
        self.count_bytes += count_bytes
        self._memory.held_bytes += count_bytes


def hold(count_bytes: int) -> None:
    """Count bytes for the request that is being answered; without one, as in a probe of the gateway's own, nothing is counted.

    Raises:
        Refused: As `Held.add`.
    """
    if held := _held.get():
        held.add(count_bytes)
