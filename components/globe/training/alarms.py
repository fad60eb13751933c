"""What goes wrong in GRPO while its reward still rises, found in what the trainer logged.

Each rule compares means over `WINDOW` steps, since single steps are noise: a change counts if it is large enough to matter and
larger than `SIGMAS` standard errors of the difference, as the steps' own scatter says. An alarm is raised when its rule begins to
hold, and again only after the rule has not held for a whole window. All rules look back only, so a training that goes on has the
alarms that it had, and perhaps later ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from globe.training.held_out import PLACE_REWARDS

WINDOW = 20
"""Steps of a mean."""
SIGMAS = 5.0
"""Standard errors of a difference: so many, because the best of all earlier windows is what a fall is measured from."""
EQUAL_SHARE = 0.5
"""Most groups have equal rewards above this share: they teach nothing, and cost what the others cost."""
LENGTH_FACTOR = 1.5
"""Answers run away when they are so many times as long as in the first window."""
CLIPPED_SHARE = 0.2
"""Share of answers that are cut off; it must also have grown by half of this since the first window."""
FALL = 0.1
"""Fall of the format reward from its best window, of at most 1."""
TRADE = 0.05
"""Rise of another reward, and fall of the one that judges the place, since the latter's best window."""
HACKABLE = ("visual_precision", "visual_recall", "localizability", "repetition", "length", "format")
"""Rewards that an answer can earn without naming the right place."""


@dataclass(frozen=True)
class Alarm:
    """Something that went wrong from a step on."""

    kind: str
    """equal_rewards, length, clipped, format, or hacking."""
    step: int
    text: str


class _Means:
    """Means of one figure over the window that ends at each step."""

    def __init__(self, values: Sequence[float]) -> None:
        sums, squares = [0.0, *accumulate(values)], [0.0, *accumulate(value * value for value in values)]
        self.mean, self.variance = [], []
        for end in range(WINDOW, len(values) + 1):
            mean = (sums[end] - sums[end - WINDOW]) / WINDOW
            self.mean.append(mean)
            self.variance.append(max(0.0, (squares[end] - squares[end - WINDOW]) / WINDOW - mean * mean))

    def rise(self, before: int, now: int, least: float) -> bool:
        """Whether the mean has risen by at least so much (fallen, if negative) between two windows, and not by chance."""
        change = self.mean[now] - self.mean[before]
        error = math.sqrt((self.variance[now] + self.variance[before]) / WINDOW)
        return change * math.copysign(1, least) >= max(abs(least), SIGMAS * error)


def alarms(history: Sequence[Mapping[str, Any]]) -> list[Alarm]:
    """The alarms of a training, in the order in which they were raised.

    Args:
        history: What the trainer logged, from the first step on; lines without a reward do not count.
    """
    logged = [values for values in history if "reward" in values and "step" in values]
    steps = [int(values["step"]) for values in logged]

    def means(name: str) -> _Means | None:
        values = [values.get(name) for values in logged]
        return _Means([float(value) for value in values if value is not None]) if None not in values else None

    found: list[Alarm] = []
    for rule in (_equal_rewards, _length, _clipped, _format, *(_hacking(name) for name in HACKABLE)):
        found += _raised(steps, rule(means))
    return sorted(found, key=lambda alarm: alarm.step)


def _raised(steps: Sequence[int], said: Sequence[tuple[str, str] | None]) -> list[Alarm]:
    """One alarm for each time that a rule begins to hold; `said` has a window's kind and text, or None where it does not hold."""
    found, quiet = [], WINDOW
    for index, what in enumerate(said):
        if what and quiet >= WINDOW:
            found.append(Alarm(what[0], steps[index + WINDOW - 1], what[1]))
        quiet = 0 if what else quiet + 1
    return found


def _best_before(means: Sequence[float]) -> list[int | None]:
    """For each window the best one that ended before it began; None for the first ones."""
    best: list[int | None] = [None] * min(WINDOW, len(means))
    for now in range(WINDOW, len(means)):
        before, newest = best[-1], now - WINDOW
        best.append(newest if before is None or means[newest] > means[before] else before)
    return best


def _equal_rewards(means: Any) -> list[tuple[str, str] | None]:
    share = means("frac_reward_zero_std")
    return [
        ("equal_rewards", f"{now:.0%} of the groups have equal rewards and teach nothing") if now > EQUAL_SHARE else None
        for now in (share.mean if share else ())
    ]


def _length(means: Any) -> list[tuple[str, str] | None]:
    length = means("completions/mean_length")
    return [
        ("length", f"answers run away: {length.mean[now]:.0f} tokens on average, {length.mean[0]:.0f} at the start")
        if length.rise(0, now, (LENGTH_FACTOR - 1) * length.mean[0])
        else None
        for now in range(len(length.mean) if length else 0)
    ]


def _clipped(means: Any) -> list[tuple[str, str] | None]:
    share = means("completions/clipped_ratio")
    return [
        ("clipped", f"{share.mean[now]:.0%} of the answers are cut off, {share.mean[0]:.0%} at the start")
        if share.mean[now] >= CLIPPED_SHARE and share.rise(0, now, CLIPPED_SHARE / 2)
        else None
        for now in range(len(share.mean) if share else 0)
    ]


def _format(means: Any) -> list[tuple[str, str] | None]:
    share = means("rewards/format/mean")
    return [
        ("format", f"the format is kept less often: reward {share.mean[now]:.2f}, {share.mean[before]:.2f} at its best")
        if before is not None and share.rise(before, now, -FALL)
        else None
        for now, before in enumerate(_best_before(share.mean) if share else ())
    ]


def _hacking(name: str) -> Any:
    def rule(means: Any) -> list[tuple[str, str] | None]:
        place = next((place for place in PLACE_REWARDS if means(f"rewards/{place}/mean")), "")
        right, other = means(f"rewards/{place}/mean"), means(f"rewards/{name}/mean")
        if not right or not other:
            return []
        return [
            (
                "hacking",
                f"{name} rises ({other.mean[before]:.2f} -> {other.mean[now]:.2f}) while {place} falls "
                f"({right.mean[before]:.2f} -> {right.mean[now]:.2f})",
            )
            if before is not None and right.rise(before, now, -TRADE) and other.rise(before, now, TRADE)
            else None
            for now, before in enumerate(_best_before(right.mean))
        ]

    return rule
