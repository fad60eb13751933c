import pytest

from globe.gateway.memory import Memory, hold
from globe.gateway.refused import Refused


def test_what_a_request_holds_is_counted_until_it_is_answered():
    memory = Memory(100)
    with memory.request() as held:
        held.add(40)
        hold(20)
        assert memory.held_bytes == 60
        with memory.request():
            hold(40)
            assert memory.held_bytes == 100
        assert memory.held_bytes == 60
        held.add(-10)
    assert memory.held_bytes == 0


def test_for_what_there_is_no_room_nothing_is_counted_and_whoever_asks_is_told_to_come_again():
    memory = Memory(100)
    with memory.request():
        hold(90)
        with pytest.raises(Refused) as refused, memory.request():
            hold(11)
        assert (refused.value.status, refused.value.code, refused.value.headers) == (503, "overloaded", {"Retry-After": "2"})
        assert memory.held_bytes == 90
        hold(10)


def test_outside_of_a_request_nothing_is_counted():
    hold(10**12)
    memory = Memory(1)
    with memory.request():
        pass
    hold(10**12)
    assert memory.held_bytes == 0
