"""Limits by the minute, with a clock that the test sets."""

import math
import threading

import pytest

from globe.gateway.keys import Client
from globe.gateway.limits import Limits
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings

ALICE = Client("alice", pixels_per_minute=1000, tokens_per_minute=100)


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, at the start of a minute."""
    now = [1_800_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.fixture
def limits():
    return Limits(GatewaySettings())


def refusal(limits, **asked) -> Refused:
    with pytest.raises(Refused) as refused:
        limits.take(ALICE, **asked)
    return refused.value


def test_a_client_may_take_its_limit_and_no_more(clock, limits):
    limits.take(ALICE, pixels=600, tokens=50)
    limits.take(ALICE, pixels=400, tokens=50)
    refused = refusal(limits, pixels=1)
    assert (refused.status, refused.code) == (429, "over_limit")
    limits.take(Client("bob", 1000, 100), pixels=1000, tokens=100)


@pytest.mark.parametrize("after_s", [0, 10, 59])
@pytest.mark.parametrize("asked", [1, 30, 100])
@pytest.mark.parametrize("wait_from_s", [0, 25, 70, 100])
def test_after_the_time_that_is_told_there_is_room_and_not_two_seconds_earlier(clock, limits, after_s, asked, wait_from_s):
    start_s = clock[0]
    clock[0] = start_s + after_s
    limits.take(ALICE, tokens=60)
    limits.take(ALICE, tokens=40)
    clock[0] += wait_from_s
    try:
        limits.take(ALICE, tokens=asked)
    except Refused as refused:
        told_s = int(refused.headers["Retry-After"])
        at_s = clock[0]
        if told_s > 2:
            clock[0] = at_s + told_s - 2
            refusal(limits, tokens=asked)
        clock[0] = at_s + told_s
        limits.take(ALICE, tokens=asked)
    else:
        assert (wait_from_s >= 25 and asked < 100) or wait_from_s >= 70


def test_nothing_is_counted_of_what_is_refused(clock, limits):
    limits.take(ALICE, pixels=1000)
    for _ in range(5):
        refusal(limits, pixels=1, tokens=100)
    limits.take(ALICE, tokens=100)


def test_what_could_never_be_had_is_not_told_to_come_again(limits):
    for asked, status in (({"pixels": 1001}, 413), ({"tokens": 101}, 422)):
        refused = refusal(limits, **asked)
        assert (refused.status, refused.code, refused.headers) == (status, "above_limit", {})


def test_what_was_not_needed_is_given_back(clock, limits):
    taken = limits.take(ALICE, pixels=1000, tokens=100)
    taken.give_back(tokens=70)
    assert refusal(limits, tokens=71).status == 429
    limits.take(ALICE, tokens=70)
    taken.give_back(pixels=1000, tokens=30)
    limits.take(ALICE, pixels=1000, tokens=30)


def test_an_answer_costs_what_it_has_and_none_costs_nothing_unless_the_client_is_at_fault(clock, limits):
    limits.take(ALICE, tokens=90).used({"prompt_tokens": 50, "completion_tokens": 20})
    limits.take(ALICE, tokens=80).used(None)
    assert refusal(limits, tokens=1).status == 429
    clock[0] += 500
    for status, left in ((503, 100), (400, 0)):
        taken = limits.take(ALICE, pixels=9, tokens=100)
        with pytest.raises(Refused), taken.unless_refused():
            raise Refused(status, "", "")
        if left:
            limits.take(ALICE, tokens=left).give_back(tokens=left)
        else:
            assert refusal(limits, tokens=1).status == 429


def test_what_is_given_back_much_later_gives_nobody_more_than_the_limit(clock, limits):
    taken = limits.take(ALICE, tokens=100)
    clock[0] += 500
    limits.take(ALICE, tokens=100)
    taken.give_back(tokens=100)
    assert refusal(limits, tokens=1).status == 429


def test_over_any_minute_a_client_that_asks_all_the_time_gets_about_its_limit(clock, limits):
    got = []
    for _ in range(600):
        clock[0] += 1
        try:
            limits.take(ALICE, tokens=7)
            got.append(clock[0])
        except Refused:
            pass
    assert math.isclose(7 * len(got), 100 * 10, rel_tol=0.15)


def test_old_counters_go_without_a_thread_for_each_request(clock, limits, monkeypatch):
    def start(thread: threading.Thread) -> None:
        raise AssertionError(f"{thread} was started")

    monkeypatch.setattr(threading.Thread, "start", start)
    for number in range(200):
        limits.take(Client(f"client-{number}", 100, 100), pixels=1, tokens=1).give_back(tokens=1)
        clock[0] += 60
    assert len(limits._storage.storage) <= 8
    assert len(limits._storage.locks) <= 8
    assert len(limits._storage.expirations) <= 8
