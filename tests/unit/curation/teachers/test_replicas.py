import asyncio
from collections import Counter

import pytest

from globe.curation.teachers import replicas
from globe.curation.teachers.replicas import FIRST_REST_S, SICK_AFTER, Replica, Replicas, Silence


def run(steps, count=2, concurrency=2, patience_s=1000.0):
    """Run `steps(servers, clock)`, where time passes only when the clock says so."""

    async def main():
        loop = asyncio.get_running_loop()
        clock = Clock(loop)
        servers = Replicas([Replica(f"http://{n}/v1", session=None) for n in range(count)], concurrency, patience_s)
        try:
            return await steps(servers, clock)
        finally:
            loop.time = clock.real

    return asyncio.run(main())


class Clock:
    def __init__(self, loop):
        self.real, self.skipped_s = loop.time, 0.0
        loop.time = lambda: self.real() + self.skipped_s

    async def passes(self, seconds):
        self.skipped_s += seconds
        for _ in range(5):
            await asyncio.sleep(0)


async def call(servers, outcome):
    replica = await servers.take()
    servers.give_back(replica, outcome)
    return replica


async def make_sick(servers, which):
    """Fail every call that goes to one server, and answer all others."""
    while not servers.all[which].sick:
        taken = [await servers.take() for _ in servers.all]
        for replica in taken:
            servers.give_back(replica, "failed" if replica is servers.all[which] else "answered")


def test_the_server_with_the_fewest_calls_in_flight_is_asked_next():
    async def steps(servers, clock):
        taken = [await servers.take() for _ in range(4)]
        assert Counter(replica.url for replica in taken) == {"http://0/v1": 2, "http://1/v1": 2}
        servers.give_back(taken[1], "answered")
        assert await servers.take() is taken[1]

    run(steps)


def test_no_server_has_more_calls_in_flight_than_it_may_and_whoever_waits_goes_on_in_order():
    async def steps(servers, clock):
        taken = [await servers.take() for _ in range(4)]
        order = []

        async def next_one(name):
            replica = await servers.take()
            order.append(name)
            return replica

        waiting = [asyncio.create_task(next_one(name)) for name in "abc"]
        await clock.passes(0)
        assert order == []
        for replica in taken[:3]:
            servers.give_back(replica, "answered")
            await clock.passes(0)
        assert order == ["a", "b", "c"]
        assert max(replica.in_flight for replica in servers.all) == 2
        assert all(task.done() for task in waiting)

    run(steps)


def test_a_server_that_fails_several_times_in_a_row_is_left_out_then_tried_with_one_call_and_taken_back():
    async def steps(servers, clock):
        await make_sick(servers, 0)
        sick, well = servers.all
        assert [await servers.take() for _ in range(2)] == [well, well]
        waiting = asyncio.create_task(servers.take())
        await clock.passes(FIRST_REST_S / 2)
        assert not waiting.done()
        await clock.passes(FIRST_REST_S)
        assert await waiting is sick
        another = asyncio.create_task(servers.take())
        await clock.passes(1)
        assert not another.done(), "while it is tried, it gets nothing else"
        servers.give_back(sick, "answered")
        assert await another is sick
        assert await servers.take() is sick

    run(steps)


def test_each_trial_that_fails_doubles_the_pause_up_to_a_limit():
    async def steps(servers, clock):
        await make_sick(servers, 0)
        sick, well = servers.all
        pauses = []
        for _ in range(8):
            pauses.append(round(sick.sick_until - asyncio.get_running_loop().time(), 1))
            well.in_flight = 2
            await clock.passes(pauses[-1] + 0.1)
            assert await servers.take() is sick
            servers.give_back(sick, "failed")
        return pauses

    assert run(steps) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_calls_that_were_under_way_when_a_server_fell_sick_do_not_lengthen_its_pause():
    async def steps(servers, clock):
        servers.give_back(await servers.take(), "answered")
        taken = [await servers.take() for _ in range(20)]
        for replica in taken:
            servers.give_back(replica, "failed")
        assert [(replica.failures_in_a_row, replica.rests) for replica in servers.all] == [(SICK_AFTER, 1)] * 2

    run(steps, concurrency=10)


def test_a_late_answer_takes_a_server_back_and_its_next_failures_count_again():
    async def steps(servers, clock):
        taken = [await servers.take() for _ in range(2 * SICK_AFTER + 1)]
        for replica in taken[:SICK_AFTER]:
            servers.give_back(replica, "failed")
        servers.give_back(taken[SICK_AFTER], "answered")
        assert not servers.all[0].sick
        for replica in taken[SICK_AFTER + 1 :]:
            servers.give_back(replica, "failed")
        assert servers.all[0].sick

    run(steps, count=1, concurrency=10)


def test_a_server_that_is_taken_back_gets_as_many_calls_as_it_may_have():
    async def steps(servers, clock):
        only = await servers.take()
        servers.leave_alone(only, 5.0)
        servers.give_back(only, "neither")
        waiting = [asyncio.create_task(servers.take()) for _ in range(6)]
        await clock.passes(6)
        await clock.passes(0)
        assert [task.done() for task in waiting] == 4 * [True] + 2 * [False]

    run(steps, count=1, concurrency=4)


def test_a_server_that_asks_to_be_left_alone_is_and_is_not_taken_for_sick():
    async def steps(servers, clock):
        busy, other = servers.all
        taken = await servers.take()
        servers.leave_alone(taken, 30.0)
        servers.give_back(taken, "neither")
        assert taken is busy
        assert [await servers.take() for _ in range(2)] == [other, other]
        waiting = asyncio.create_task(servers.take())
        await clock.passes(29)
        assert not waiting.done()
        await clock.passes(2)
        assert await waiting is busy
        assert not busy.sick

    run(steps)


def test_who_has_never_answered_is_not_waited_for():
    async def steps(servers, clock):
        for _ in range(40):
            await call(servers, "failed")
        assert all(replica.sick for replica in servers.all)

    run(steps)


def test_a_teacher_that_falls_silent_is_waited_for_as_long_as_the_patience_lasts():
    async def steps(servers, clock):
        await call(servers, "answered")
        for _ in range(2 * SICK_AFTER):
            await call(servers, "failed")
        waiting = [asyncio.create_task(servers.take()) for _ in range(5)]
        for _ in range(30):
            await clock.passes(replicas.LONGEST_REST_S + 1)
            tried = [task for task in waiting if task.done() and not task.exception()]
            if not tried:
                break
            for task in tried:
                waiting.remove(task)
                servers.give_back(task.result(), "failed")
            waiting += [asyncio.create_task(servers.take()) for _ in tried]
        await clock.passes(0)
        assert clock.skipped_s > 100
        for task in waiting:
            with pytest.raises(Silence):
                await task
        with pytest.raises(Silence):
            await servers.take()

    run(steps, patience_s=100.0)


def test_an_answer_in_time_ends_the_silence():
    async def steps(servers, clock):
        await call(servers, "answered")
        for _ in range(20):
            for _ in range(SICK_AFTER):
                await call(servers, "failed")
            await clock.passes(60)
            await call(servers, "answered")
        assert clock.skipped_s > 1000

    run(steps, count=1, patience_s=100.0)


def test_who_is_cancelled_while_waiting_leaves_the_place_to_the_next():
    async def steps(servers, clock):
        taken = [await servers.take() for _ in range(2)]
        first, second = (asyncio.create_task(servers.take()) for _ in range(2))
        await clock.passes(0)
        servers.give_back(taken[0], "answered")
        first.cancel()
        assert await asyncio.wait_for(second, 5) is taken[0]

    run(steps, count=1)
