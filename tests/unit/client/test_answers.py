"""An answer's document, read without trusting it."""

import pytest

from globe.client.answers import document, read_located


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_object_is_an_empty_one(body):
    assert document(body) == {}


def test_a_field_that_is_missing_is_an_error_and_a_new_one_is_not(answer):
    assert read_located(answer | {"new": 1}).city == "Paris"
    for name in ("status", "alternatives", "lat_deg"):
        with pytest.raises((TypeError, KeyError)):
            read_located({key: value for key, value in answer.items() if key != name})
