"""When a gateway is ready."""

from dataclasses import replace

import pytest

from globe.gateway.status import Status

READY = Status(up=True, proven=True)


def test_it_is_ready_when_its_engine_has_proven_an_answer():
    assert READY.ready


@pytest.mark.parametrize("change", [{"up": False}, {"proven": False}, {"hung": True}, {"draining": True}, {"closing": True}])
def test_any_one_thing_that_is_not_in_order_makes_it_unready(change):
    assert not replace(READY, **change).ready


def test_a_part_of_an_answer_shows_that_the_engine_does_not_hang():
    status = replace(READY, hung=True, last_sign_s=0.0)
    status.answered()
    assert status.ready
    assert status.last_sign_s > 0
