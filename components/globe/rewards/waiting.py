"""Waiting for a service that does not answer: how long, how often, and what is said meanwhile."""

import asyncio
import time
from collections.abc import Callable

from globe.errors import GlobeError

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0


class Waiting:
    """Pauses that grow, until patience ends."""

    def __init__(self, where: str, patience_s: float, tell: Callable[[str], None]) -> None:
        """Start to count.

        Args:
            where: Whom it is that is waited for.
            patience_s: Longest wait, counted from the last answer.
            tell: Told of each pause.
        """
        self._where, self._patience_s, self._tell = where, patience_s, tell
        self._started = self._last_answer = time.monotonic()
        self._pause_s = FIRST_PAUSE_S
        self._told = False

    async def pause(self, reason: str, *, missing: int, of: int, progress: bool = False) -> None:
        """Wait before the next try, and say so.

        Raises:
            GlobeError: There was no answer for too long.
        """
        now = time.monotonic()
        if progress:
            self._last_answer, self._pause_s = now, FIRST_PAUSE_S
        silent_s = now - self._last_answer
        if silent_s >= self._patience_s:
            raise GlobeError(
                f"{self._where} has given no answer for {silent_s:.0f} s ({reason}); {missing} of {of} completions have no "
                "score. Training stops here rather than on invented scores; start the stage again when the service is back"
            )
        self._tell(
            f"waiting for {self._where} for {now - self._started:.0f} s: {missing} of {of} answers missing ({reason}); "
            f"gives up after {self._patience_s:.0f} s without any"
        )
        self._told = True
        await asyncio.sleep(min(self._pause_s, max(self._patience_s - silent_s, 0.01)))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def over(self) -> None:
        """Everything is answered."""
        if self._told:
            self._tell(f"{self._where} answers again, after {time.monotonic() - self._started:.0f} s")
