"""The verdict: what it says at its edges, and how seldom it promotes a model that is worse by the margin."""

import math

import numpy as np
import pytest
from scipy.stats import multinomial

from globe.evaluation.recipe import GateRecipe
from globe.evaluation.verdict import decide, judge_difference, worst
from globe.figures.paired import score_interval


def entry(wins: int, losses: int, n: int) -> dict:
    low, high = score_interval(wins, losses, n)
    difference = 100 * (wins - losses) / n
    shares = {"a": 50.0, "b": 50.0 + difference, "difference": difference, "ci95": [100 * float(low), 100 * float(high)]}
    return shares | {"wins": wins, "losses": losses, "design_effect": 1.0}


@pytest.mark.parametrize("margin", [1.0, 5.0])
@pytest.mark.parametrize("discordant", [0.06, 0.1, 0.3])
@pytest.mark.parametrize("n", [100, 1_000, 12_000])
def test_a_model_that_is_worse_by_the_margin_is_promoted_in_at_most_5_percent(n: int, discordant: float, margin: float) -> None:
    rule = GateRecipe(margin_percent=margin, min_pictures=1)
    wins, losses = (discordant - margin / 100) / 2, (discordant + margin / 100) / 2
    counts = multinomial(n, [wins, losses, 1 - discordant]).rvs(20_000, random_state=5)[:, :2]
    found, times = np.unique(counts, axis=0, return_counts=True)
    low, high = (100 * end for end in score_interval(found[:, 0], found[:, 1], n))
    words = [decide(*ends, n, rule) for ends in zip(low.tolist(), high.tolist(), strict=True)]
    promoted = times[[word == "promote" for word in words]].sum() / 20_000
    assert promoted <= 0.05
    assert promoted >= 0.005 or n == 100  # nor is it so strict that the interval says nothing


def test_three_of_twenty_against_none_decides_nothing_either_way() -> None:
    rule = GateRecipe(margin_percent=5, min_pictures=1)
    worse = judge_difference(entry(0, 3, 20), 20, rule, "old")
    better = judge_difference(entry(3, 0, 20), 20, GateRecipe(margin_percent=0, min_pictures=1), "old")
    assert (worse["verdict"], better["verdict"]) == ("inconclusive", "inconclusive")
    assert "n 20: -15.0 points" in worse["reasons"][0]
    assert f"about {worse['needed_pictures']} pictures would decide" in worse["reasons"][0]
    assert 20 < worse["needed_pictures"] < 200


def test_one_picture_promotes_nothing() -> None:
    rule = GateRecipe(margin_percent=100, min_pictures=2)
    judged = judge_difference(entry(1, 0, 1), 1, rule, "old")
    assert judged["verdict"] == "inconclusive"
    assert "at least 2 pictures are required" in judged["reasons"][0]


def test_the_verdict_is_where_the_interval_lies() -> None:
    rule = GateRecipe(margin_percent=2, min_pictures=100)
    assert [decide(*ends, 100, rule) for ends in ((-1.9, 4), (-2, 4), (-9, -2), (-9, -2.1))] == [
        "promote", "inconclusive", "inconclusive", "reject"
    ]  # fmt: skip
    assert decide(-1.9, 4, 99, rule) == "inconclusive"
    assert decide(-9, -3, 1, rule) == "reject"
    assert decide(math.nan, 4, 100, rule) == decide(1, math.inf, 100, rule) == "reject"


def test_alike_pictures_count_for_less_in_the_number_that_would_decide() -> None:
    rule = GateRecipe(margin_percent=2, min_pictures=1)
    alone = judge_difference(entry(5, 5, 200), 200, rule, "old")
    together = judge_difference(entry(5, 5, 200) | {"design_effect": 3.0}, 200, rule, "old")
    assert together["needed_pictures"] == pytest.approx(3 * alone["needed_pictures"], abs=3)


def test_the_worst_of_several_verdicts_counts() -> None:
    assert worst(["promote", "inconclusive", "promote"]) == "inconclusive"
    assert worst(["inconclusive", "reject"]) == "reject"
    assert worst([]) == "promote"
