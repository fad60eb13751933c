"""Metrics: nothing leaves the denominator, the boundary counts, figures are those of a plain computation."""

import json
import math
import random
from statistics import fmean, median
from typing import Any

import pytest
from geopy.distance import geodesic
from place_names import COUNTRY_ALONE, RIGHT, WRONG
from records import PARIS, record

from globe.errors import InputError
from globe.evaluation.show import summary_lines
from globe.figures.metrics import check_answered, summarize
from globe.figures.predictions import level_of
from globe.geo.distance import distance_km
from globe.geo.places import find_place
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
    summary = summarize(records, rounds=5)
    slices = summary["slices"]
    assert {k: v["n"] for k, v in slices["continent"].items()} == {"Africa": 1, "Europe": 2, "unknown": 1}
    assert {k: v["n"] for k, v in slices["city_size"].items()} == {"1 million and more": 2, "less than 10,000": 1, "unknown": 1}

    assert slices["country"].keys() == {"France", "Kenya", "unknown"}
    assert slices["continent"]["Africa"]["ci95"]["25"] == pytest.approx([0, 79.3451], abs=1e-3)


COUNTRIES = {
    "Thailand": (15.5, 101.0),
    "Peru": (-9.2, -75.0),
    "Kenya": (0.3, 37.9),
    "Italy": (42.8, 12.8),
    "Fiji": (-17.8, 178.0),
}


def random_records(n: int) -> list[dict[str, Any]]:
    """Pictures around the middles of some countries, with answers from next door to the other end of the world, or none."""
    chance = random.Random(7)
    records = []
    for i in range(n):
        country, (lat, lon) = chance.choice(list(COUNTRIES.items()))
        truth = {"lat_deg": lat + chance.uniform(-2, 2), "lon_deg": lon + chance.uniform(-1.9, 1.9), "country": country}
        scale = 10 ** chance.uniform(-3, 2)
        there = max(-90, min(90, truth["lat_deg"] + chance.gauss(0, scale)))
        far = (truth["lon_deg"] + chance.gauss(0, scale) + 180) % 360 - 180
        answer = {"status": "ok", "lat_deg": there, "lon_deg": far, "level": chance.choice(["city", "country", "", None])}
        if chance.random() < 0.15:
            answer = {"status": chance.choice(["not_parsed", "cut_off", "call_failed"]), "lat_deg": None, "lon_deg": None}
        records.append({"id": str(i), "truth": truth | {"city": ""}, **answer})
    return records


def plainly(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures, computed one record at a time, by geopy and the standard library."""
    kilometres, within = [], dict.fromkeys((1, 25, 200, 750, 2500), 0)
    for answer in records:
        if answer["lat_deg"] is None:
            kilometres.append(math.inf)
            continue
        truth = answer["truth"]
        km = geodesic((answer["lat_deg"], answer["lon_deg"]), (truth["lat_deg"], truth["lon_deg"])).km
        kilometres.append(km)
        for threshold in within:
            if km <= threshold and (answer["level"] != "country" or threshold in (750, 2500)):
                within[threshold] += 1
    placed = [km for km in kilometres if km < math.inf]
    return {
        "n": len(records),
        "accuracy": {str(km): round(100 * count / len(records), 4) for km, count in within.items()},
        "median_km": round(median(kilometres), 3),
        "mean_km": round(fmean(placed), 3),
        "mean_of": len(placed),
        "geoscore": round(fmean(5000 * math.exp(-km / 1492.7) for km in kilometres), 2),
    }


def test_the_figures_are_those_of_a_plain_loop_to_the_digits_printed() -> None:
    records = random_records(500)
    summary, expected = summarize(records, rounds=5), plainly(records)
    assert {key: summary[key] for key in expected} == expected
    for country in COUNTRIES:
        expected = plainly([answer for answer in records if answer["truth"]["country"] == country])
        figures = summary["slices"]["country"][country]
        assert {key: figures[key] for key in expected} == expected
    lines = [line.split() for line in summary_lines(summary)]
    assert ["median", "km", f"{summary['median_km']:,.2f}"] in [line[:3] for line in lines]


BANGKOK = {"country": "Thailand", "city": "Bangkok", "lat_deg": 13.75398, "lon_deg": 100.50144}


def at_the_country(identity: str, lat_deg: float, lon_deg: float, city: str = "Toronto", **fields: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "country": "Thailand",
        "city": city,
        "lat_deg": lat_deg,
        "lon_deg": lon_deg,
        "truth": BANGKOK,
    } | fields


def test_a_city_that_is_not_known_counts_as_its_country_and_never_as_the_city_beside_its_point() -> None:
    records = [
        at_the_country("a", 13.754, 100.501, level="country"),
        at_the_country("b", 13.754, 100.501, "", level="country"),
        at_the_country("c", 13.754, 100.501, "Bangkok", level="city"),
        at_the_country("d", 13.754, 100.501, "unknown", level="country"),
        at_the_country("e", 43.7, -79.4, level="country"),
    ]
    summary = summarize(records, rounds=5)
    assert summary["accuracy"] == {"1": 20.0, "25": 20.0, "200": 20.0, "750": 80.0, "2500": 80.0}
    assert summary["country_level"] == {"count": 4, "percent": 80.0, "city_not_found": 2}
    assert summary["median_km"] < 0.1  # a distance is what it is


def test_a_record_without_a_level_is_of_a_country_if_it_lies_where_its_names_lead() -> None:
    country = find_place("", "Thailand")
    assert country.lat_deg is not None
    assert country.lon_deg is not None
    there = country.lat_deg, country.lon_deg
    assert level_of(at_the_country("a", *there)) == level_of(at_the_country("a", *there, "", level="")) == "country"
    assert level_of(at_the_country("a", *there, level="city")) == "city"
    assert level_of(at_the_country("a", *there, "Bangkok")) == ""
    assert level_of(at_the_country("a", 13.7, 100.5)) == ""
    assert level_of(at_the_country("a", *there, "", country="")) == ""


@pytest.mark.parametrize(
    "records",
    [
        [record("a", None, "no_answer")],
        [record("a")],
        [record(str(i)) for i in range(3)],
        [record("a"), record("b", None, "call_failed", error="HTTP 500"), record("c", None, "call_failed")],
    ],
)
def test_figures_of_very_few_pictures_are_numbers_or_left_open(records: list[dict[str, Any]]) -> None:
    summary = summarize(records, rounds=10)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    shares = {*NAMES, *summary["accuracy"], *summary["failures"], "parsed_percent", "geocoded_percent", "failed_percent"}
    assert summary["ci95"].keys() == shares | {"country_level", "geoscore", "mean_km", "median_km"}


NAMES = ("country_match", "city_match", "country_match_original", "city_match_original")


def test_everything_right_of_three_is_an_honest_interval() -> None:
    summary = summarize([record(str(i)) for i in range(3)], rounds=10)
    assert summary["ci95"]["25"] == summary["ci95"]["country_match"] == [43.8503, 100.0]
    assert summary["ci95"]["geoscore"] == pytest.approx([0.438503 * 5000, 5000], abs=0.01)
    assert "Wilson" in summary["intervals"]


def test_pictures_of_one_photographer_say_less_than_those_of_many() -> None:
    records = [record(str(i), 0.0 if i % 40 < 20 else 500.0) for i in range(400)]  # each one's 20 are all right or all wrong
    by_twenty = [r | {"truth": r["truth"] | {"photographer": f"p{i // 20}"}} for i, r in enumerate(records)]
    alone = [r | {"truth": r["truth"] | {"photographer": f"p{i}"}} for i, r in enumerate(records)]
    widths = []
    for many in (records, alone, by_twenty):
        summary = summarize(many, rounds=1000)
        widths.append([high - low for low, high in (summary["ci95"][key] for key in ("25", "geoscore", "mean_km"))])
    assert widths[0] == widths[1]
    assert widths[2] == pytest.approx([width * 20**0.5 for width in widths[0]], rel=0.35)
    assert "photographer (20)" in summary["intervals"]


def test_reasons_why_calls_failed_are_counted_the_most_frequent_first() -> None:
    records = [record(str(i), None, "call_failed", error=f"HTTP {500 + i % 3 * (i % 2)}\n") for i in range(9)]
    assert list(summarize(records, rounds=1)["errors"].items()) == [("HTTP 500", 6), ("HTTP 501", 2), ("HTTP 502", 1)]
    many = [record(str(i), None, "call_failed", error=f"reason {i}") for i in range(30)]
    assert summarize(many, rounds=1)["errors"]["other reasons"] == 20


def test_predictions_in_which_every_call_failed_are_refused() -> None:
    failed = [record(str(i), None, "call_failed", error="HTTP 500") for i in range(3)]
    with pytest.raises(InputError, match=r"runs/a: all 3 calls failed, .*HTTP 500"):
        check_answered(failed, "runs/a")
    check_answered([*failed, record("x")], "runs/a")
    with pytest.raises(InputError, match=r"runs/a: 3 of 4 calls failed, which is an outage and not a result; .*HTTP 500"):
        check_answered([*failed, record("x")], "runs/a", 0.2)


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
