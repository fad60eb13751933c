"""How much each client may ask for: pixels and answer tokens within any minute, or nearly so.

The window slides: what was taken in the last whole minute counts by the part of it that lies within sixty seconds. Two counters a
client and kind are all that is kept, for two minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage

from globe.gateway.keys import Client
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings

WINDOW_S = 60
_KINDS = {"pixels": "pixels", "tokens": "answer tokens"}


@dataclass(frozen=True)
class Taken:
    """What was counted for one request, to be given back as far as it was not needed."""

    counters: dict[str, str]
    """Name of each kind's counter."""
    amounts: dict[str, int]
    limits: Limits

    def give_back(self, *, pixels: int = 0, tokens: int = 0) -> None:
        """Count less."""
        self.limits._give_back(self.counters, {"pixels": pixels, "tokens": tokens})

    def used(self, usage: Mapping[str, Any] | None) -> None:
        """Give back the tokens that an answer did not have; without vLLM's count of them, all stay counted."""
        if usage and isinstance(count := usage.get("completion_tokens"), int):
            self.give_back(tokens=self.amounts["tokens"] - count)

    @contextmanager
    def unless_refused(self) -> Iterator[None]:
        """Give everything back if what follows ends without an answer, through no fault of the client's."""
        try:
            yield
        except Refused as refused:
            if refused.status >= 500:
                self.give_back(**self.amounts)
            raise


class _Storage(MemoryStorage):
    """Forgets old counters once a minute; as it comes, it starts a thread for that with nearly every request."""

    def __init__(self) -> None:
        self._forgets_at_s = 0.0
        super().__init__()

    def _MemoryStorage__schedule_expiry(self) -> None:
        if time.time() >= self._forgets_at_s:
            self._forgets_at_s = time.time() + WINDOW_S
            self._MemoryStorage__expire_events()  # type: ignore[attr-defined]


class Limits:
    """Pixels and answer tokens of each client, by the minute."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._storage = _Storage()

    def take(self, client: Client, *, pixels: int = 0, tokens: int = 0) -> Taken:
        """Count what a client asks for.

        Returns:
            What was counted; give back of it what was not needed.

        Raises:
            Refused: 429, with the seconds after which there is room again, or 413 or 422 for what is more than a whole minute's;
                then nothing is counted.
        """
        asked = {"pixels": pixels, "tokens": tokens}
        most = {"pixels": client.pixels_per_minute, "tokens": client.tokens_per_minute}
        for kind, name in _KINDS.items():
            if asked[kind] > most[kind]:
                status = 413 if kind == "pixels" else 422
                message = f"this asks for {asked[kind]} {name}; the key has {most[kind]} a minute: ask for less"
                raise Refused(status, message, "above_limit")
        waits_s = {kind: self._wait_s(kind, client, asked[kind], most[kind]) for kind in _KINDS if asked[kind]}
        if any(waits_s.values()):
            kind = max(waits_s, key=lambda found: waits_s[found])
            message = f"the key's {most[kind]} {_KINDS[kind]} a minute are used up"
            raise Refused(429, message, "over_limit", retry_after_s=waits_s[kind])
        now_s = time.time()
        counters = {kind: self._storage.sliding_window_keys(_key(kind, client), WINDOW_S, now_s)[1] for kind in waits_s}
        for kind, counter in counters.items():
            self._storage.incr(counter, 2 * WINDOW_S, amount=asked[kind])
        return Taken(counters, asked, self)

    def nothing(self) -> Taken:
        """What is counted for a request that another replica's gateway has counted."""
        return Taken({}, {"pixels": 0, "tokens": 0}, self)

    def _wait_s(self, kind: str, client: Client, asked: int, most: int) -> float:
        """Seconds until a client may take so much; 0 if it may now."""
        before, before_left_s, current, current_left_s = self._storage.get_sliding_window(_key(kind, client), WINDOW_S)
        free = most - asked
        if before * before_left_s / WINDOW_S + current <= free:
            return 0
        if current <= free:  # once enough of the last minute has slid away
            return before_left_s - (free - current) * WINDOW_S / before
        return current_left_s - free * WINDOW_S / current  # once enough of this minute has

    def _give_back(self, counters: dict[str, str], unused: dict[str, int]) -> None:
        for kind, counter in counters.items():
            if unused[kind] > 0 and self._storage.get(counter):
                self._storage.decr(counter, unused[kind])


def _key(kind: str, client: Client) -> str:
    return RateLimitItemPerMinute(1, namespace=kind).key_for(client.name)
