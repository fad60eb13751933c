"""Recipes and overrides: what is accepted, and the one line that a mistake earns."""

import pytest

from globe.errors import InputError
from globe.recipes.load import BadOverride, load_recipe, load_stage_recipe, parse_overrides
from globe.training.recipe import GrpoRecipe, SftRecipe


def test_overrides_have_the_types_that_yaml_gives_them():
    parsed = parse_overrides(["a=3", "b=1e-3", "c=true", "d=text", "e.f=[1, 2]", "g=http://host:80/v1", "h="])
    assert parsed == {"a": 3, "b": 1e-3, "c": True, "d": "text", "e.f": [1, 2], "g": "http://host:80/v1", "h": ""}


@pytest.mark.parametrize("pair", ["steps", "=3", " =3"])
def test_an_override_without_key_and_value_is_bad_input(pair):
    with pytest.raises(InputError, match="key=value"):
        parse_overrides([pair])


def test_a_stage_takes_only_the_overrides_that_carry_its_name():
    recipe = load_stage_recipe(SftRecipe, "sft", {"sft": "demo"}, {"sft.max_steps": 7, "grpo.max_steps": 9})
    assert recipe.max_steps == 7


def test_an_unknown_field_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"--set learning_rat: .*fields: .*learning_rate"):
        load_recipe(SftRecipe, "sft", "demo", {"learning_rat": 1})


def test_a_wrong_type_is_named_with_its_field():
    with pytest.raises(InputError, match=r"max_length: .*integer"):
        load_recipe(SftRecipe, "sft", "demo", {"max_length": "long"})


def test_an_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="choose one of demo"):
        load_recipe(SftRecipe, "sft", "no-such")


def test_a_recipe_file_of_the_users_own_is_read(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("learning_rate: 0.5\n")
    assert load_recipe(SftRecipe, "sft", str(own)).learning_rate == 0.5


def test_a_broken_yaml_file_is_one_clear_line(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("a: [1\n")
    with pytest.raises(InputError, match=r"mine\.yaml: not YAML") as caught:
        load_recipe(SftRecipe, "sft", str(own))
    assert "\n" not in str(caught.value)


def test_a_batch_that_cannot_hold_whole_groups_is_refused():
    with pytest.raises(InputError, match="whole groups"):
        load_recipe(GrpoRecipe, "grpo", "demo", {"num_generations": 7})


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"max_length": "long"}, "--set max_length: Input should be a valid integer"),
        ({"rewards.accuracy": -1}, "--set rewards.accuracy: Input should be greater than 0"),
        ({"rewards": {"accuracy": -1}}, "--set rewards: accuracy: Input should be greater than 0"),
    ],
)
def test_a_wrong_override_is_named_by_its_key_and_not_by_the_file_that_is_right(overrides, says):
    with pytest.raises(BadOverride) as caught:
        load_recipe(GrpoRecipe, "grpo", "demo", overrides)
    assert str(caught.value).startswith(says)


def test_a_runs_override_is_named_by_stage_and_field():
    with pytest.raises(BadOverride, match=r"^overrides: sft\.max_length: Input") as caught:
        load_stage_recipe(SftRecipe, "sft", {"sft": "demo"}, {"sft.max_length": "long"})
    assert caught.value.key == "sft.max_length"


def test_a_mistake_in_the_file_is_the_files_whatever_else_is_overridden(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("learning_rate: fast\n")
    with pytest.raises(InputError, match=r"mine\.yaml: learning_rate: "):
        load_recipe(SftRecipe, "sft", str(own), {"max_length": 7})


def test_a_text_stays_one_where_a_text_is_asked_for():
    pairs = ["source=2024", "model=~", "result=null", "n=3"]
    parsed = parse_overrides(pairs, lambda key: key != "n")
    assert parsed == {"source": "2024", "model": "~", "result": "null", "n": 3}


@pytest.mark.parametrize("text", ["- max_steps", "max_steps", "7"])
def test_a_file_that_is_no_recipe_is_named(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=r"r\.yaml: not a recipe"):
        load_recipe(SftRecipe, "sft", str(tmp_path / "r.yaml"), {"max_steps": 3})
