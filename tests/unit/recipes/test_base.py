"""What no recipe takes, whichever stage's it is."""

import pytest

from globe.errors import InputError
from globe.recipes.base import Recipe
from globe.recipes.load import load_stage_recipe
from globe.run.stages import RECIPES

DEMO = dict.fromkeys(RECIPES, "demo")
FLOATS = [(stage, name) for stage, model in RECIPES.items() for name, f in model.model_fields.items() if f.annotation is float]
SEEDED = [stage for stage, model in RECIPES.items() if "seed" in model.model_fields]


@pytest.mark.parametrize(("stage", "name"), FLOATS)
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_none_is_refused_by_its_name(stage, name, value):
    with pytest.raises(InputError, match=f"{stage}.{name}: "):
        load_stage_recipe(RECIPES[stage], stage, DEMO, {f"{stage}.{name}": value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("grpo.rewards.accuracy", float("inf")),
        ("grpo.arguments.weight_decay", float("nan")),
        ("grpo.arguments", {"betas": [0.9, float("inf")]}),
    ],
)
def test_it_is_refused_inside_of_lists_and_dicts_as_well(key, value):
    with pytest.raises(InputError, match=f"{key}: must be a finite number"):
        load_stage_recipe(RECIPES["grpo"], "grpo", DEMO, {key: value})


@pytest.mark.parametrize("stage", SEEDED)
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_one_that_every_generator_takes(stage, seed):
    with pytest.raises(InputError, match=f"{stage}.seed: "):
        load_stage_recipe(RECIPES[stage], stage, DEMO, {f"{stage}.seed": seed})
    assert load_stage_recipe(RECIPES[stage], stage, DEMO, {f"{stage}.seed": 2**32 - 1}).seed == 2**32 - 1


def test_every_recipe_is_held_to_these_rules():
    assert all(issubclass(model, Recipe) for model in RECIPES.values())


@pytest.mark.parametrize(("given", "kept"), [(25, "25"), (2500.0, "2500"), ("750", "750"), (1, "1")])
def test_a_distance_of_the_gate_is_the_same_as_number_and_as_text(given, kept):
    recipe = load_stage_recipe(RECIPES["evaluation"], "evaluation", DEMO, {"evaluation.gate.threshold_km": given})
    assert recipe.gate.threshold_km == kept


@pytest.mark.parametrize("given", [26, 0, True, "near", None, 25.5])
def test_another_distance_is_refused_with_those_there_are(given):
    with pytest.raises(InputError, match=r"evaluation.gate.threshold_km: Input should be '1', '25', '200', '750' or '2500'"):
        load_stage_recipe(RECIPES["evaluation"], "evaluation", DEMO, {"evaluation.gate.threshold_km": given})
