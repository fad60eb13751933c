import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.report.text import clean, count, duration, interval, kilometres, percent, place_or_position, position, signed


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_any_text_becomes_one_that_can_be_written(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert not any(c in cleaned for c in "\x00\x1b\u202e\u2066")


@given(st.text(), st.integers(1, 50))
def test_a_limit_holds(text: str, limit: int) -> None:
    assert len(clean(text, limit)) <= limit


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    for text in ("São Paulo", "東京都", "الرياض", "line one\nline two\tend", "👩‍🚀"):
        assert clean(text) == text


@pytest.mark.parametrize(
    ("km", "text"),
    [
        (0, "0 km"),
        (0.04, "0 km"),
        (0.05, "0.1 km"),
        (9.94, "9.9 km"),
        (12.4, "12 km"),
        (9711.6, "9,712 km"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_distances_are_written_as_people_say_them(km: float | None, text: str) -> None:
    assert kilometres(km) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
        ("?", "–"),
    ],
)
def test_durations_never_show_sixty(seconds: object, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_no_number_is_a_dash_and_never_zero() -> None:
    for nothing in (None, math.nan, math.inf, "12", True, []):
        assert percent(nothing) == count(nothing) == kilometres(nothing) == "–"
    assert interval([1.0]) == interval([None, 2.0]) == interval("ab") == "–"


def test_signs_are_real_and_zero_has_none() -> None:
    assert (signed(1.25), signed(-0.44), signed(-0.04)) == ("+1.2", "−0.4", "0.0")
    assert interval([-1.0, 2.0]) == "−1.0 to 2.0%"


def test_a_place_falls_back_to_its_coordinates() -> None:
    assert place_or_position({"city": "", "country": "Chad", "lat_deg": 1.0, "lon_deg": 2.0}) == "Chad"
    assert place_or_position({"lat_deg": -33.87, "lon_deg": 151.21}) == "33.87° S, 151.21° E"
    assert position(None, 3.0) == ""
