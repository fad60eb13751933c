"""How long a training will go on, from its recent steps."""

import time
from collections import deque
from collections.abc import Callable

RECENT = 20
"""Logged steps whose pace counts: some of them with a save or a measurement."""


class Pace:
    """Estimates the time that is left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[int, float]] = deque(maxlen=RECENT + 1)

    def left_s(self, step: int, steps: int) -> float | None:
        """Seconds that are left at this moment, at which a step has ended; None before a second one has."""
        if not self._seen or step > self._seen[-1][0]:
            self._seen.append((step, self._clock()))
        (first, started_s), (last, now_s) = self._seen[0], self._seen[-1]
        return (steps - last) * (now_s - started_s) / (last - first) if last > first else None


def in_words(left_s: float | None) -> str:
    """Time left as "2 h 10 min left"; nothing where it is unknown or over."""
    if not left_s:
        return ""
    if left_s < 60:
        return f"{left_s:.0f} s left"
    minutes = round(left_s / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = (f"{days} d", f"{hours} h") if days else (f"{hours} h", f"{minutes} min") if hours else (f"{minutes} min",)
    return f"{' '.join(parts)} left"
