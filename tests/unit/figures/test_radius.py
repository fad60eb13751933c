"""A radius that keeps its word, whatever the confidence is worth."""

import math
from typing import Any

import numpy as np
import pytest
from simulated import WORLDS, answers, world

from globe.errors import InputError
from globe.figures.radius import ANYWHERE_KM, Answers, Radius, calibrate, conformal, fit, radius_figures


def split(kind: str, calibrating: int, rng: np.random.Generator, countries: float = 0.0) -> float:
    """Percent of 1,000 other answers that lie within the radius that some answers give."""
    n = calibrating + 1000
    confidence, km, _ = world(kind, n, rng)
    alone = rng.random(n) < countries
    km = np.where(alone, km + 400, km)
    names = np.arange(n).astype(str)
    drawn = Answers(confidence, km, alone, names, names)
    place = np.arange(n)
    shape, rest = drawn.where(place < calibrating // 4), drawn.where((place >= calibrating // 4) & (place < calibrating))
    radius = Radius(level_percent=90.0, by="agreement", groups=fit(shape, rest, 90), measured={})
    others = drawn.where(place >= calibrating)
    inside = [d <= radius.of(c, a) for c, d, a in zip(others.confidence, others.km, others.country_only, strict=True)]
    return 100 * float(np.mean(inside))


@pytest.mark.parametrize(("kind", "countries"), [*((kind, 0.0) for kind in WORLDS), ("overconfident", 0.3)])
def test_over_200_splits_it_covers_what_it_promises_however_badly_calibrated_the_model_is(kind: str, countries: float) -> None:
    rng = np.random.default_rng(11)
    covered = [split(kind, 1000, rng, countries) for _ in range(200)]
    assert 89.5 <= np.mean(covered) <= 91.5
    assert np.mean([86 <= share <= 94 for share in covered]) > 0.9


def test_with_few_answers_it_covers_rather_more_than_less() -> None:
    rng = np.random.default_rng(12)
    covered = [split("calibrated", 60, rng) for _ in range(200)]
    assert 90 <= np.mean(covered) <= 93


def test_equal_distances_can_only_make_it_cover_more() -> None:
    """Where 95% of the answers are exactly right, no radius covers 90%."""
    km = np.where(np.arange(400) % 20 == 0, 5000.0, 0.0)
    assert conformal(km, 90) == 0.0


def test_the_whole_evaluation_calibrates_on_one_half_and_measures_on_the_other() -> None:
    records = answers("overconfident", 3000)
    measured = calibrate(records).measured
    assert measured["calibrated_on"] + measured["measured_on"] == 3000
    assert abs(measured["calibrated_on"] - 1500) < 150
    low, high = measured["ci95"]
    assert low < 90 < high + 2
    assert low < measured["coverage_percent"] < high
    assert sum(one["n"] for one in measured["continents"].values()) == measured["measured_on"]
    assert measured["continents"].keys() == {"Africa", "Asia", "Europe", "South America"}


def test_the_halves_do_not_depend_on_the_order_and_hardly_on_one_more_answer() -> None:
    records = answers("calibrated", 400)
    assert calibrate(records) == calibrate(records[::-1])
    before, after = calibrate(records[:-1]).measured, calibrate(records).measured
    assert after["calibrated_on"] + after["measured_on"] - before["calibrated_on"] - before["measured_on"] == 1


def test_the_radius_falls_where_confidence_is_worth_something_and_rises_where_it_misleads() -> None:
    good = [group.radius_km for group in calibrate(answers("calibrated", 6000)).groups]
    bad = [group.radius_km for group in calibrate(answers("misleading", 6000)).groups]
    assert good[0] > 1000 > good[-1]
    assert bad[0] < 1000 < bad[-1]


def test_answers_of_a_country_alone_have_a_radius_of_their_own() -> None:
    records = answers("constant", 2000)
    for record in records[::3]:
        record["level"] = "country"
        record["lat_deg"], record["lon_deg"] = record["truth"]["lat_deg"] + 2, record["truth"]["lon_deg"]
    radius = calibrate(records)
    assert {group.level for group in radius.groups} == {"city", "country"}
    assert radius.of(0.97, True) == pytest.approx(222, abs=2)
    assert radius.of(0.97, False) > 1000


def test_pictures_of_one_photographer_stay_on_one_side() -> None:
    records = answers("calibrated", 900)
    for at, record in enumerate(records):
        record["truth"]["photographer"] = f"who{at % 30}"
    measured = calibrate(records).measured
    assert measured["calibrated_on"] % 30 == 0
    for record in records:
        record["truth"]["photographer"] = "me"
    with pytest.raises(InputError, match="1 photographers"):
        calibrate(records)


@pytest.mark.parametrize(("level", "n", "kilometres"), [(90, 9, 9.0), (90, 8, ANYWHERE_KM), (99, 98, ANYWHERE_KM), (50, 1, 1.0)])
def test_a_level_needs_enough_answers_and_is_anywhere_without(level: float, n: int, kilometres: float) -> None:
    assert conformal(np.arange(1.0, n + 1), level) == kilometres


def test_the_rank_is_that_of_the_exact_fraction() -> None:
    for n in range(9, 400):
        km = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
        rank = (9 * (n + 1) + 9) // 10
        assert conformal(km, 90) == (rank if rank <= n else ANYWHERE_KM)


def test_nothing_is_farther_than_the_other_side_of_the_earth() -> None:
    assert conformal(np.full(50, 20_019.9), 90) == ANYWHERE_KM


@pytest.mark.parametrize(("n", "level", "least"), [(99, 90, "100"), (500, 99, "1000")])
def test_too_few_answers_are_refused_with_how_many_are_needed(n: int, level: float, least: str) -> None:
    with pytest.raises(InputError, match=f"{n} of {n} answers .* needs {least}"):
        calibrate(answers("calibrated", n), level)


def test_only_answers_with_a_position_and_a_confidence_count() -> None:
    records = answers("calibrated", 400)
    hostile: list[dict[str, Any]] = [{"confidence": v} for v in (None, math.nan, "1", 148.4)] + [
        {"lat_deg": None, "lon_deg": None}
    ]
    broken = [record | hostile[at % 5] for at, record in enumerate(records[:100])]
    assert calibrate(broken + records[100:]).groups == calibrate(records[100:]).groups


def test_agreement_serves_where_the_server_tells_no_probabilities() -> None:
    records = [record | {"confidence": None, "agreement": record["confidence"]} for record in answers("few values", 800)]
    radius = calibrate(records)
    assert radius.by == "agreement"
    assert 84 < radius.measured["coverage_percent"] < 96


def test_a_confidence_above_all_others_has_the_radius_of_the_highest() -> None:
    radius = calibrate(answers("constant", 400))
    assert radius.of(1.0, False) == radius.of(0.97, False) < ANYWHERE_KM
    assert radius.of(148.41, False) == radius.of(math.nan, False) == ANYWHERE_KM


def test_an_evaluation_that_is_too_small_has_no_such_figure() -> None:
    assert radius_figures(answers("calibrated", 60)) == {}
    assert radius_figures(answers("calibrated", 200)).keys() >= {"coverage_percent", "ci95", "median_radius_km"}
