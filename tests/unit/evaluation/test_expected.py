"""What is expected of a published model: the rule that was written down before it is run, checked by counting and by chance."""

import random

import pytest

from globe.evaluation.expected import (
    ABOVE,
    AS_EXPECTED,
    BELOW,
    MAX_WIDTH_PERCENT,
    TOO_FEW,
    expected_figures,
    expected_lines,
    outcome,
    pictures_needed,
)
from globe.evaluation.recipe import EvaluationRecipe
from globe.recipes.load import load_recipe


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95% score interval of a share, in percent, from Wilson's formula (1927)."""
    z, share = 1.959964, right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return 100 * (middle - half), 100 * (middle + half)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((35.2, 38.7), AS_EXPECTED),
        ((40.0, 43.5), AS_EXPECTED),
        ((30.8, 34.3), BELOW),
        ((40.1, 43.5), ABOVE),
        ((32.7, 43.7), TOO_FEW),
        ((20.0, 32.0), BELOW),
        ((45.0, 60.0), ABOVE),
        ((37.0, 37.0 + MAX_WIDTH_PERCENT), AS_EXPECTED),
    ],
)
def test_the_rule_is_that_of_the_intervals_place_and_width(interval, said):
    assert outcome(interval, (37, 40)) == said


@pytest.mark.parametrize(
    ("n", "least"), [(2997, {AS_EXPECTED: 0.97}), (100, {TOO_FEW: 0.95})], ids=["the whole data set", "a hundred pictures"]
)
def test_a_model_that_is_as_good_as_published_is_found_so_where_the_pictures_suffice(n, least):
    draw = random.Random(1)
    said = [outcome(wilson(sum(draw.random() < 0.385 for _ in range(n)), n), (37, 40)) for _ in range(300)]
    for name, share in least.items():
        assert said.count(name) >= share * 300, said.count(name)


def test_the_untrained_base_model_is_told_from_the_published_one():
    draw = random.Random(2)
    said = [outcome(wilson(sum(draw.random() < 0.3253 for _ in range(2997)), 2997), (37, 40)) for _ in range(300)]
    assert said.count(BELOW) >= 0.95 * 300


def test_as_many_pictures_as_are_said_to_be_needed_make_the_interval_narrow_enough():
    for share in (20, 38.5, 62, 80):
        needed = pictures_needed(share)
        low, high = wilson(round(needed * share / 100), needed)
        assert high - low == pytest.approx(MAX_WIDTH_PERCENT, abs=0.3)


def test_what_is_measured_is_written_beside_what_is_expected():
    metrics = {"n": 300, "accuracy": {"25": 38.0}, "ci95": {"25": [32.7, 43.6]}, "dataset": {"name": "im2gps3k"}}
    found = expected_figures(metrics, {"im2gps3k": (37, 40)})["expected"]
    assert (found["within_25_km_percent"], found["measured_percent"], found["n"]) == ([37, 40], 38.0, 300)
    assert (found["outcome"], found["pictures_needed"]) == (TOO_FEW, 569)
    [line] = expected_lines({"expected": found})
    assert line == (
        "too few pictures to tell; some 569 would tell: 38.0% within 25 km of 300 pictures (95% interval 32.7 to 43.6), "
        "expected on im2gps3k: 37 to 40%"
    )


@pytest.mark.parametrize("change", [{"dataset": {"name": "yfcc4k"}}, {"dataset": {}}, {"ci95": {}}])
def test_nothing_is_said_where_nothing_was_expected_or_measured(change):
    metrics = {"n": 9, "accuracy": {"25": 38.0}, "ci95": {"25": [3.0, 43.6]}, "dataset": {"name": "im2gps3k"}} | change
    assert expected_figures(metrics, {"im2gps3k": (37, 40)}) == {}
    assert list(expected_lines(metrics)) == []


@pytest.mark.parametrize("name", ["globe-qwen2.5-vl-7b", "globe-internvl3-8b"])
def test_the_recipes_of_the_published_checkpoints_say_what_to_expect(name):
    recipe = load_recipe(EvaluationRecipe, "evaluation", name)
    assert recipe.expected == {"mp16-reason-test": (61, 63), "im2gps3k": (37, 40)}
    assert recipe.prompt.startswith("You are a geolocation expert. You are participating in a geolocation challenge.")
    assert (recipe.temperature, recipe.max_tokens) == (0, 1024)


def test_the_recipe_of_the_original_decodes_as_its_script_does_and_expects_nothing_of_any_model():
    recipe = load_recipe(EvaluationRecipe, "evaluation", "original")
    assert (recipe.temperature, recipe.frequency_penalty, recipe.presence_penalty, recipe.max_tokens) == (0.1, 0.7, 0.7, 512)
    assert recipe.prompt.startswith("You are participating in a geolocation challenge.")
    assert recipe.expected == {}
