"""Abstaining where confidence is low."""

from typing import Any

import numpy as np
import pytest

from globe.figures.abstention import abstention, auroc, auroc_interval


def told(confidence: float | None, localizable: bool | None, **fields: Any) -> dict[str, Any]:
    return {"confidence": confidence, "truth": {"localizable": localizable}, **fields}


def by_hand(positive: np.ndarray, negative: np.ndarray) -> float:
    wins = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


@pytest.mark.parametrize("digits", [1, 12])
def test_the_area_is_the_share_of_pairs_in_the_right_order(digits: int) -> None:
    rng = np.random.default_rng(3)
    positive, negative = rng.beta(3, 2, 40).round(digits), rng.beta(2, 3, 70).round(digits)
    assert auroc(positive, negative) == pytest.approx(by_hand(positive, negative))


def test_low_confidence_where_nobody_could_tell_is_an_area_of_one_with_an_honest_interval() -> None:
    records = [told(0.9, True)] * 6 + [told(0.2, False)] * 4 + [told(0.5, None), told(None, True), told(7.0, False)]
    found = abstention(records)
    assert (found["n"], found["localizable"], found["auroc"], found["by"]) == (10, 6, 1.0, "answer_probability")
    assert found["ci95"][1] == 1.0
    assert 0.5 < found["ci95"][0] < 0.9


def test_the_kind_of_confidence_that_more_answers_have_is_used() -> None:
    records = [told(None, at % 2 == 0, agreement=0.5) for at in range(8)] + [told(0.3, True), told(0.3, False)]
    found = abstention(records)
    assert (found["by"], found["n"], found["auroc"]) == ("agreement", 8, 0.5)


@pytest.mark.parametrize(
    "records",
    [[], [told(0.5, True)], [told(0.5, None), told(0.4, None)], [{"truth": None}], [told("a", "yes"), told(0.1, False)]],
)
def test_without_both_kinds_of_pictures_there_is_no_figure(records: list[dict[str, Any]]) -> None:
    assert abstention(records) == {}


@pytest.mark.parametrize(("shift", "positives", "negatives"), [(0.0, 30, 60), (1.0, 25, 25), (2.2, 20, 40)])
def test_the_interval_covers_the_true_area(shift: float, positives: int, negatives: int) -> None:
    from statistics import NormalDist

    rng, rounds = np.random.default_rng(0), 1500
    true = NormalDist().cdf(shift / 2**0.5)
    hits = 0
    for _ in range(rounds):
        area = auroc(rng.normal(shift, 1, positives), rng.normal(0, 1, negatives))
        low, high = auroc_interval(area, positives, negatives)
        hits += low <= true <= high
    assert 0.93 <= hits / rounds <= 0.985
