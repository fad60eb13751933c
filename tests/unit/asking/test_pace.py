"""The number of requests in flight, against simulated servers on a simulated clock."""

import asyncio
import heapq
import time
from itertools import count

import pytest

from globe.asking.pace import Pace, Slots


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def seconds(
    pace: Pace, clock: Clock, requests: int, latency_s: float, parallel: float = float("inf"), refuse: bool = False
) -> float:
    """How long a server takes that works on some requests at a time, and lets the others wait or refuses them."""
    events: list[tuple[float, int, str, float]] = []
    order, waiting, flying, working, answered = count(), [], 0, 0, 0
    while answered < requests:
        while flying < pace.limit and answered + flying < requests:
            flying += 1
            if working < parallel:
                working += 1
                heapq.heappush(events, (clock.now + latency_s, next(order), "answer", clock.now))
            elif refuse:
                heapq.heappush(events, (clock.now + 0.01, next(order), "refusal", clock.now))
            else:
                waiting.append(clock.now)
        clock.now, _, kind, sent = heapq.heappop(events)
        flying -= 1
        if kind == "refusal":
            pace.overloaded(sent)
            continue
        answered, working = answered + 1, working - 1
        if waiting:
            working += 1
            heapq.heappush(events, (clock.now + latency_s, next(order), "answer", waiting.pop(0)))
        pace.answered(clock.now - sent)
    return clock.now


class Fixed(Pace):
    def __init__(self, limit: int) -> None:
        super().__init__(limit, 1e9)
        self.limit = limit

    def answered(self, latency_s: float) -> None:
        pass


def test_with_a_server_that_has_room_for_all_little_time_is_lost():
    clock = Clock()
    assert seconds(Pace(256, 120, clock), clock, 2048, 1.0) <= 1.2 * 2048 / 256


@pytest.mark.parametrize("parallel", [1, 4, 16, 24, 40, 100, 300])
@pytest.mark.parametrize("latency_s", [0.1, 0.5, 2.0])
def test_it_is_about_as_fast_as_the_best_fixed_number(parallel, latency_s):
    clock = Clock()
    found = seconds(Pace(256, 1e6, clock), clock, 8000, latency_s, parallel)
    best = min(seconds(Fixed(limit), Clock(), 8000, latency_s, parallel) for limit in (8, 16, 32, 64, 128, 256))
    assert found <= best / 0.95


def test_a_server_that_refuses_is_given_as_much_as_it_takes():
    clock = Clock()
    pace = Pace(256, 120, clock)
    assert seconds(pace, clock, 8000, 0.5, 20, refuse=True) <= 1.6 * 8000 / 20 * 0.5
    assert 8 <= pace.limit <= 40


def test_one_refusal_of_many_under_way_halves_once():
    clock = Clock()
    pace = Pace(64, 120, clock)
    start = pace.limit
    clock.now = 5.0
    for _ in range(10):
        pace.overloaded(1.0)
    assert pace.limit == start // 2
    clock.now = 6.0
    pace.overloaded(5.5)
    assert pace.limit == start // 4
    for _ in range(20):
        clock.now += 1
        pace.overloaded(clock.now)
    assert pace.limit == 1


def test_requests_that_come_near_their_deadline_are_not_joined_by_more():
    clock = Clock()
    pace = Pace(256, 10, clock)
    start = pace.limit
    seconds(pace, clock, 500, 4.0)
    assert pace.limit == start


@pytest.mark.parametrize(("most", "start"), [(1, 1), (5, 5), (8, 8), (32, 16), (256, 128)])
def test_it_starts_with_half_and_never_exceeds_the_most(most, start):
    clock = Clock()
    pace = Pace(most, 120, clock)
    assert pace.limit == start
    seconds(pace, clock, 10 * most + 100, 1.0)
    assert pace.limit == most


def test_no_more_than_the_limit_are_let_through_at_once():
    pace, most, now = Fixed(3), 0, 0

    async def one(slots):
        nonlocal most, now
        async with slots.one():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1

    async def all_of_them():
        slots = Slots(pace)
        await asyncio.gather(*(one(slots) for _ in range(30)))

    asyncio.run(all_of_them())
    assert most == 3


def test_a_lone_refusal_holds_up_nobody_else_and_refusals_in_a_row_hold_up_all():
    async def waited(*events: str) -> float:
        slots = Slots(Fixed(3))
        for event in events:
            slots.answered(0.1) if event == "answer" else slots.overloaded(0.0, 0.2)
        before = time.monotonic()
        async with slots.one():
            return time.monotonic() - before

    assert min(asyncio.run(waited("answer", "refusal", "answer")) for _ in range(5)) < 0.15
    assert asyncio.run(waited("answer", "refusal", "refusal")) >= 0.19
