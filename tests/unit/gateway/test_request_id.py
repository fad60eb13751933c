"""Names of requests: the client's own if it is a plain word."""

import pytest

from globe.gateway.request_id import named


def test_a_plain_name_is_kept():
    assert named("run-7.photo_3:a") == "run-7.photo_3:a"


@pytest.mark.parametrize("told", [None, "", "a b", "a\nb", "x" * 65, "ß"])
def test_anything_else_gets_a_new_name_each_time(told):
    assert len({named(told), named(told), told}) == 3
