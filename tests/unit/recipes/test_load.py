"""Recipes and overrides: what is accepted, and the one line that a mistake earns."""

import pytest

from globe.curation.recipe import CurationRecipe
from globe.errors import InputError
from globe.recipes.load import BadOverride, load_recipe, load_stage_recipe, parse_overrides
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe


def test_overrides_have_the_types_that_yaml_gives_them():
    parsed = parse_overrides(["a=3", "b=1e-3", "c=true", "d=text", "e.f=[1, 2]", "g=http://host:80/v1", "h="])
    assert parsed == {"a": 3, "b": 1e-3, "c": True, "d": "text", "e.f": [1, 2], "g": "http://host:80/v1", "h": ""}


@pytest.mark.parametrize("text", ["2024-13-45", "!!int x", "[" * 10_000])
def test_a_value_that_yaml_cannot_make_anything_of_is_text(text):
    assert parse_overrides([f"a={text}"]) == {"a": text}


@pytest.mark.parametrize("pair", ["steps", "=3", " =3"])
def test_an_override_without_key_and_value_is_bad_input(pair):
    with pytest.raises(InputError, match="key=value"):
        parse_overrides([pair])


def test_a_stage_takes_only_the_overrides_that_carry_its_name():
    recipe = load_stage_recipe(SftRecipe, "sft", {"sft": "demo"}, {"sft.max_steps": 7, "grpo.max_steps": 9})
    assert recipe.max_steps == 7


def test_an_unknown_field_is_named_with_those_that_were_perhaps_meant_or_else_with_all():
    with pytest.raises(InputError, match=r"--set learning_rat: .*; did you mean learning_rate\?$"):
        load_recipe(SftRecipe, "sft", "demo", {"learning_rat": 1})
    with pytest.raises(InputError, match=r"--set foo: .*fields: .*learning_rate"):
        load_recipe(SftRecipe, "sft", "demo", {"foo": 1})


def test_a_wrong_type_is_named_with_its_field():
    with pytest.raises(InputError, match=r"max_length: .*integer"):
        load_recipe(SftRecipe, "sft", "demo", {"max_length": "long"})


def test_a_single_value_for_a_list_is_answered_with_how_to_write_it():
    with pytest.raises(InputError, match=r"--set test_sets: Input should be a valid list; write it as \[im2gps3k\]$"):
        load_recipe(CurationRecipe, "curation", "demo", parse_overrides(["test_sets=im2gps3k"]))
    assert load_recipe(CurationRecipe, "curation", "demo", parse_overrides(["test_sets=[im2gps3k]"])).test_sets == ["im2gps3k"]


def test_an_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"choose one of .*demo"):
        load_recipe(SftRecipe, "sft", "no-such")


def test_a_recipe_file_of_the_users_own_is_read(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("learning_rate: 0.5\n")
    assert load_recipe(SftRecipe, "sft", str(own)).learning_rate == 0.5


@pytest.mark.parametrize("text", ["a: [1\n", "a: 2024-13-45\n", "a: !!int x\n", "a: " + "[" * 10_000, "? [a]\n: 1\n"])
def test_a_broken_yaml_file_is_one_clear_line(tmp_path, text):
    own = tmp_path / "mine.yaml"
    own.write_text(text)
    with pytest.raises(InputError, match=r"mine\.yaml: not YAML") as caught:
        load_recipe(SftRecipe, "sft", str(own))
    assert "\n" not in str(caught.value)


def test_a_field_that_is_given_twice_is_refused(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("max_steps: 1\nlearning_rate: 0.5\nmax_steps: 2\n")
    with pytest.raises(InputError, match=r"mine\.yaml: not YAML \('max_steps' is given twice; keep one .*line 3"):
        load_recipe(SftRecipe, "sft", str(own))


def test_a_link_that_leads_to_itself_and_a_name_that_no_file_has_are_no_recipes(tmp_path):
    (tmp_path / "round.yaml").symlink_to("round.yaml")
    for name in (str(tmp_path / "round.yaml"), f"{'x' * 300}.yaml", "\0.yaml"):
        with pytest.raises(InputError, match=r"no recipe .* for sft: choose one of .*demo"):
            load_recipe(SftRecipe, "sft", name)


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


# --- a recipe that extends another


def write(path, text):
    path.write_text(text)
    return str(path)


def test_a_recipe_takes_what_it_does_not_say_from_the_one_it_extends(tmp_path):
    own = write(tmp_path / "mine.yaml", "extends: demo\nlearning_rate: 0.5\nenvironment: {OMP_NUM_THREADS: '2'}\n")
    demo, mine = (load_recipe(SftRecipe, "sft", name) for name in ("demo", own))
    assert mine.environment == demo.environment | {"OMP_NUM_THREADS": "2"}
    assert mine == demo.model_copy(update={"learning_rate": 0.5, "environment": mine.environment})


def test_a_list_replaces_the_bases_and_null_drops_a_value(tmp_path):
    write(tmp_path / "base.yaml", "learning_rate: 1\nmax_length: 7\ntarget_modules: [a, b]\narguments: {x: 1, y: {z: 2, w: 3}}\n")
    own = write(
        tmp_path / "own.yaml", "extends: base.yaml\nmax_length: null\ntarget_modules: [c]\narguments: {x: null, y: {z: 4}}\n"
    )
    mine = load_recipe(RewardModelRecipe, "reward_model", own)
    assert (mine.max_length, mine.target_modules, mine.arguments) == (2048, ["c"], {"y": {"z": 4, "w": 3}})


def test_a_path_is_relative_to_the_file_and_bases_may_extend_others(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    write(tmp_path / "a" / "far.yaml", "extends: demo\nmax_steps: 3\n")
    write(tmp_path / "a" / "near.yml", "extends: far.yaml\nnum_train_epochs: 4\n")
    mine = load_recipe(SftRecipe, "sft", write(tmp_path / "b" / "mine.yaml", "extends: ../a/near.yml\nseed: 5\n"), {"seed": 6})
    assert (mine.max_steps, mine.num_train_epochs, mine.seed) == (3, 4, 6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extends: 3\n", r"mine\.yaml: extends: 3 is not the name of a recipe"),
        ("extends: [demo]\n", r"mine\.yaml: extends: \['demo'\] is not the name"),
        ("extends:\n", r"mine\.yaml: extends: None is not the name"),
        ("extends: nothing\n", r"mine\.yaml: extends: no recipe 'nothing' for sft: choose one of .*demo"),
        ("extends: gone.yaml\n", r"mine\.yaml: extends: no recipe 'gone.yaml' for sft"),
        ("extends: mine.yaml\n", r"mine\.yaml: extends: .*mine\.yaml extends itself \(mine\.yaml -> mine\.yaml\)"),
        ("extends: other.yaml\n", r"other\.yaml: extends: .*extends itself \(mine\.yaml -> other\.yaml -> mine\.yaml\)"),
        ("extends: broken.yaml\n", r"broken\.yaml: not YAML"),
    ],
)
def test_a_base_that_cannot_be_extended_is_one_line_that_names_the_file(tmp_path, text, says):
    write(tmp_path / "other.yaml", "extends: mine.yaml\n")
    write(tmp_path / "broken.yaml", "a: [1\n")
    with pytest.raises(InputError, match=says) as caught:
        load_recipe(SftRecipe, "sft", write(tmp_path / "mine.yaml", text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "own", "says"),
    [
        ("max_length: long\n", "seed: 1\n", r"base\.yaml: max_length: "),
        ("max_length: long\n", "max_length: longer\n", r"mine\.yaml: max_length: "),
        ("rewards: {accuracy: -1}\n", "rewards: {format: 1}\n", r"base\.yaml: rewards\.accuracy: "),
        ("rewards: {accuracy: 1}\n", "rewards: {format: -1}\n", r"mine\.yaml: rewards\.format: "),
        ("num_generation: 8\n", "seed: 1\n", r"base\.yaml: num_generation: .*did you mean num_generations"),
        ("seed: 1\n", "num_generations: 7\n", r"mine\.yaml: num_generations: .*whole groups"),
        ("seed: 1\n", "rewards: {accurcy: null}\n", r"mine\.yaml: rewards\.accurcy: "),
    ],
)
def test_a_mistake_is_told_with_the_file_in_which_it_stands(tmp_path, base, own, says):
    write(tmp_path / "base.yaml", f"extends: demo\n{base}")
    with pytest.raises(InputError, match=says):
        load_recipe(GrpoRecipe, "grpo", write(tmp_path / "mine.yaml", f"extends: base.yaml\n{own}"))
