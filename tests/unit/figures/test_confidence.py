"""What confidence is worth, against plain loops."""

import math
from typing import Any

import numpy as np
import pytest
from simulated import WORLDS, answers, world

from globe.figures.confidence import calibration, distances, reliability, risk_coverage, share_interval
from globe.geo.distance import distance_km


def ece_by_hand(confidence: list[float], right: list[bool]) -> float:
    total = 0.0
    for low in range(10):
        here = [(c, r) for c, r in zip(confidence, right, strict=True) if low / 10 < c <= (low + 1) / 10 or (low == 0 and c == 0)]
        if here:
            gap = abs(sum(c for c, _ in here) / len(here) - sum(r for _, r in here) / len(here))
            total += len(here) / len(confidence) * gap
    return 100 * total


def aurc_by_hand(confidence: np.ndarray, right: np.ndarray, orders: int, rng: np.random.Generator) -> float:
    """Mean over random orders of equally sure answers."""
    areas = []
    for _ in range(orders):
        shuffled = rng.permutation(len(confidence))
        order = shuffled[np.argsort(-confidence[shuffled], kind="stable")]
        wrong, risks = 0, []
        for kept, at in enumerate(order, start=1):
            wrong += not right[at]
            risks.append(wrong / kept)
        areas.append(sum(risks) / len(risks))
    return sum(areas) / len(areas)


@pytest.mark.parametrize("kind", WORLDS)
def test_calibration_error_and_risk_agree_with_plain_loops(kind: str) -> None:
    rng = np.random.default_rng(5)
    confidence, _, right = world(kind, 700, rng)
    found = reliability(confidence, right)
    assert found["ece_percent"] == pytest.approx(ece_by_hand(confidence.tolist(), right.tolist()), abs=1e-4)
    assert sum(one["n"] for one in found["bins"]) == 700
    ties = len(set(confidence.tolist())) < 700
    curve, aurc = risk_coverage(confidence, right)
    assert aurc == pytest.approx(aurc_by_hand(confidence, right, 300 if ties else 1, rng), abs=0.005 if ties else 1e-6)
    assert len(curve) <= 100
    assert curve[-1] == {"coverage_percent": 100.0, "right_percent": pytest.approx(100 * right.mean(), abs=1e-4)}
    for point in curve[:: max(1, len(curve) // 7)]:
        kept = np.sort(confidence)[::-1][: round(point["coverage_percent"] * 7)].min()
        assert point["right_percent"] == pytest.approx(100 * right[confidence >= kept].mean(), abs=1e-4)


def test_confidences_at_the_edges_of_bins_fall_below_the_edge() -> None:
    edges = np.array([0.0, *(k / 10 for k in range(1, 11))])
    found = reliability(edges, np.ones(11, bool))["bins"]
    assert [one["n"] for one in found] == [2] + [1] * 9
    assert all(one["low"] * 100 <= one["confidence_percent"] <= one["high"] * 100 for one in found)


def test_a_confidence_that_tells_nothing_has_one_point() -> None:
    curve, aurc = risk_coverage(np.full(200, 0.5), np.arange(200) % 4 == 0)
    assert (curve, aurc) == ([{"coverage_percent": 100.0, "right_percent": 25.0}], 0.75)


def test_a_country_alone_is_never_right_however_near() -> None:
    records = answers("constant", 60)
    near = [record | {"lat_deg": record["truth"]["lat_deg"], "lon_deg": record["truth"]["lon_deg"]} for record in records]
    countries = [record | {"level": "country"} for record in near]
    right = [calibration(given)["answer_probability"]["risk_coverage"][-1]["right_percent"] for given in (near, countries)]
    assert right == [100.0, 0.0]


def test_both_kinds_of_confidence_are_told_apart() -> None:
    records = answers("calibrated", 200, agreement=0.5)
    found = calibration(records)
    assert found.keys() == {"answer_probability", "agreement"}
    assert found["agreement"]["bins"][0]["confidence_percent"] == 50.0


@pytest.mark.parametrize("bad", [148.41, -0.1, math.nan, math.inf, "0.9", True, [0.5], 10**400])
def test_a_confidence_that_is_no_probability_is_ignored_and_counted(bad: Any) -> None:
    records = answers("calibrated", 50)
    records[7]["confidence"] = bad
    records[8]["confidence"] = None
    found = calibration(records)["answer_probability"]
    assert (found["n"], found["ignored"]) == (48, 1)
    assert found | {"ignored": 0} == calibration([r for i, r in enumerate(records) if i not in (7, 8)])["answer_probability"]


def test_answers_without_a_position_are_wrong_and_those_without_a_confidence_have_no_figures() -> None:
    lost = {"id": "x", "confidence": 0.8, "lat_deg": None, "lon_deg": None, "truth": {"lat_deg": 1.0, "lon_deg": 2.0}}
    assert calibration([lost])["answer_probability"]["bins"][0]["right_percent"] == 0.0
    assert calibration([lost | {"confidence": None}]) == {}
    assert calibration([]) == {}


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, "48", True, 91.0, 10**400])
def test_a_position_that_is_none_has_no_distance(bad: Any) -> None:
    good = {"lat_deg": 10.0, "lon_deg": 20.0, "truth": {"lat_deg": 11.0, "lon_deg": 21.0}}
    broken = [good | {"lat_deg": bad}, good | {"truth": {"lat_deg": bad, "lon_deg": 1.0}}, good | {"truth": None}]
    found = distances([good, *broken])
    assert found[0] == pytest.approx(distance_km(10, 20, 11, 21))
    assert np.isnan(found[1:]).all()


def test_answers_to_one_photographers_pictures_tell_less_than_as_many_to_different_ones() -> None:
    records = answers("constant", 400)
    apart = calibration(records)["answer_probability"]
    for at, record in enumerate(records):
        near = at // 20 % 2 == 0  # all twenty of one photographer are alike
        there = record["truth"]
        record |= {"lat_deg": there["lat_deg"] + (0 if near else 5), "lon_deg": there["lon_deg"]}
        record["truth"] = there | {"photographer": f"who{at // 20}"}
    together = calibration(records)["answer_probability"]
    assert [one["right_percent"] for one in together["bins"]] == [50.0]
    low, high = together["bins"][0]["ci95"]
    assert high - low > 3 * (apart["bins"][0]["ci95"][1] - apart["bins"][0]["ci95"][0])


def test_a_share_has_an_interval_that_is_honest_at_the_edges() -> None:
    low, high = share_interval(np.ones(3, bool), None)
    assert (high, low) == (100.0, pytest.approx(43.85, abs=0.01))
