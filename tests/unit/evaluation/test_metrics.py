"""Metrics: nothing leaves the denominator, the boundary counts, intervals hold what they promise."""

from typing import Any

import pytest
from place_names import COUNTRY_ALONE, RIGHT, WRONG
from records import PARIS, record

from globe.errors import InputError
from globe.evaluation.metrics import summarize
from globe.evaluation.show import summary_lines
from globe.geo.distance import distance_km
from globe.geo.verdict import Truth


def test_failures_stay_in_the_denominator_and_are_counted_apart() -> None:
    records = [
        record("a"), record("b", 100.0), record("c", None, "no_answer"), record("d", None, "not_parsed"),
        record("e", None, "not_geocoded"), record("f", None, "call_failed"), record("g", 1000.0), record("h", 10.0),
    ]  # fmt: skip
    summary = summarize(records, rounds=50)
    assert summary["n"] == 8
    assert summary["accuracy"] == {"1": 12.5, "25": 25.0, "200": 37.5, "750": 37.5, "2500": 50.0}
    assert (summary["parsed"], summary["geocoded"], summary["failed"]) == (5, 4, 4)
    assert summary["failures"] == {"no_answer": 1, "not_parsed": 1, "not_geocoded": 1, "cut_off": 0, "call_failed": 1}
    assert summary["median_km"] is None
    assert summary["mean_of"] == 4
    assert summary["mean_km"] == pytest.approx(277.5, abs=3)
    assert summary["geoscore"] == pytest.approx((5000 + 4676 + 4966 + 2559) / 8, abs=5)


def test_an_answer_that_was_cut_off_is_wrong_and_counted_as_that() -> None:
    summary = summarize([record("a", 10.0), record("b", None, "cut_off")], rounds=50)
    assert (summary["accuracy"]["25"], summary["parsed"], summary["failures"]["cut_off"]) == (50.0, 1, 1)
    assert "1 cut off" in next(summary_lines(summary))


def test_the_boundary_counts() -> None:
    truth = {**PARIS, "lat_deg": 0.0, "lon_deg": 0.0}
    low, high = 0.0, 1.0
    for _ in range(200):  # the largest longitude whose distance is still <= 25 km
        middle = (low + high) / 2
        low, high = (middle, high) if distance_km(0.0, middle, 0.0, 0.0) <= 25.0 else (low, middle)
    at = {**record("a"), "truth": truth, "lat_deg": 0.0, "lon_deg": low}
    beyond = {**record("b"), "truth": truth, "lat_deg": 0.0, "lon_deg": low + 1e-7}
    assert summarize([at], rounds=1)["accuracy"]["25"] == 100.0
    assert summarize([beyond], rounds=1)["accuracy"]["25"] == 0.0


def test_names_are_matched_by_ours_and_by_the_originals_rule() -> None:
    munich = {"country": "Deutschland", "city": "München", "lat_deg": 48.13743, "lon_deg": 11.57549}
    nigeria = {"country": "Nigeria", "city": "Lagos", "lat_deg": 6.45, "lon_deg": 3.39}
    records = [
        {**record("a"), "country": "Germany", "city": "Munich", "truth": munich},
        {**record("b"), "country": "Niger", "city": "Niamey", "truth": nigeria},
    ]
    summary = summarize(records, rounds=10)
    assert (summary["country_match"], summary["city_match"]) == (50.0, 50.0)
    assert (summary["country_match_original"], summary["city_match_original"]) == (50.0, 0.0)


def test_intervals_hold_the_value_narrow_with_n_and_repeat_with_the_seed() -> None:
    few = [record(str(i), 0.0 if i % 3 else 500.0) for i in range(60)]
    many = [record(str(i), 0.0 if i % 3 else 500.0) for i in range(3000)]
    small, large = summarize(few), summarize(many)
    for summary in (small, large):
        low, high = summary["ci95"]["25"]
        assert low < summary["accuracy"]["25"] < high
    width = large["ci95"]["25"][1] - large["ci95"]["25"][0]
    assert width == pytest.approx(2 * 1.96 * 100 * (2 / 9 / 3000) ** 0.5, rel=0.15)  # the normal approximation
    assert small["ci95"]["25"][1] - small["ci95"]["25"][0] > 3 * width
    assert summarize(few)["ci95"] == small["ci95"]
    varied = [record(str(i), float(i)) for i in range(500)]
    assert summarize(varied, seed=1)["ci95"] != summarize(varied, seed=2)["ci95"]


def test_slices_add_up_to_the_whole() -> None:
    kenya = {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.28, "lon_deg": 36.82}
    village = {"country": "France", "city": "Giverny", "lat_deg": 49.08, "lon_deg": 1.53}
    records = [
        record("a"),
        {**record("b"), "truth": kenya},
        {**record("c"), "truth": village},
        {**record("d"), "truth": {**kenya, "country": "", "city": ""}},
    ]
    slices = summarize(records, rounds=5)["slices"]
    assert {k: v["n"] for k, v in slices["continent"].items()} == {"Africa": 1, "Europe": 2, "unknown": 1}
    assert {k: v["n"] for k, v in slices["city_size"].items()} == {"1 million and more": 2, "less than 10,000": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no predictions"),
        ([record("a"), record("a")], "twice"),
        ([record("a", status="fine")], "status"),
        ([{**record("a"), "truth": {"country": "France"}}], "position"),
        ([{**record("a"), "lat_deg": 99.0}], "range"),
    ],
)
def test_records_that_cannot_be_scored_are_refused(records: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        summarize(records, rounds=1)


@pytest.mark.parametrize(
    ("places", "country", "city"),
    [(RIGHT, 100.0, 100.0), (COUNTRY_ALONE, 100.0, 0.0), (WRONG, 0.0, 0.0)],
    ids=["right", "country alone", "wrong"],
)
def test_names_are_matched_as_the_verdict_says(places: list[tuple[Truth, str, str]], country: float, city: float) -> None:
    records = [
        {**record(str(i), None, "not_geocoded"), "country": named, "city": town, "truth": truth._asdict()}
        for i, (truth, named, town) in enumerate(places)
    ]
    summary = summarize(records, rounds=1)
    assert (summary["country_match"], summary["city_match"]) == (country, city)
