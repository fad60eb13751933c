"""The reward curve, and what is asked of ms-swift."""

import pytest

from globe.data.shards import write_dataset
from globe.errors import GlobeError, InputError
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.training.grpo import edges, grpo, question_of, reward_curve
from globe.training.grpo_arguments import grpo_arguments
from globe.training.grpo_recipe import GrpoRecipe


def logged(*steps: int) -> list[dict]:
    return [{"step": step, "reward": float(step), "rewards/format/mean": 1.0, "loss": 9.0} for step in steps]


def test_the_curve_has_every_step_once_and_the_rewards_alone():
    curve = reward_curve([*logged(1, 2, 3), {"step": 3, "train_loss": 1.0}], steps=3)
    assert [point["step"] for point in curve] == [1, 2, 3]
    assert set(curve[0]) == {"step", "reward", "rewards/format/mean"}


@pytest.mark.parametrize("steps", [(), (1, 3), (1, 2, 2, 3), (1, 2)])
def test_a_step_without_its_reward_or_with_two_is_an_error(steps):
    with pytest.raises(GlobeError, match="no reward curve"):
        reward_curve(logged(*steps), steps=3)


def test_a_rollout_that_is_trained_on_for_several_steps_logs_its_rewards_at_the_first_of_them():
    recipe = load_recipe(GrpoRecipe, "grpo", "demo", {"steps_per_generation": 2, "num_iterations": 2, "save_steps": 4})
    curve = reward_curve(logged(1, 5, 9), steps=10, steps_a_rollout=recipe.steps_a_rollout)
    assert [point["step"] for point in curve] == [1, 5, 9]
    for missing in [(1, 9), (5, 9), (1, 5)]:
        with pytest.raises(GlobeError, match="no reward curve"):
            reward_curve(logged(*missing), steps=10, steps_a_rollout=recipe.steps_a_rollout)


def test_the_edges_are_the_first_and_the_last_ten_steps():
    assert edges(reward_curve(logged(*range(1, 31)), steps=30)) == (5.5, 25.5)


@pytest.mark.parametrize(("values", "save_steps", "fits"), [
    ({}, 3, True),
    ({"num_iterations": 2}, 4, True),
    ({"num_iterations": 2}, 3, False),
    ({"steps_per_generation": 4}, 2, True),
    ({"steps_per_generation": 4}, 1, False),
])  # fmt: skip
def test_a_checkpoint_between_two_uses_of_one_rollout_is_refused(values, save_steps, fits):
    overrides = {**values, "save_steps": save_steps, "gradient_accumulation_steps": 2}
    if fits:
        assert load_recipe(GrpoRecipe, "grpo", "demo", overrides).save_steps == save_steps
    else:
        with pytest.raises(InputError, match="save_steps"):
            load_recipe(GrpoRecipe, "grpo", "demo", overrides)


@pytest.mark.parametrize(("values", "fits"), [
    ({"eval_rows": 8, "eval_steps": 2}, True),
    ({"eval_rows": 8, "eval_steps": 1}, False),
    ({"eval_rows": 0, "eval_steps": 1}, True),
])  # fmt: skip
def test_a_measurement_whose_checkpoint_would_lie_between_two_uses_of_one_rollout_is_refused(values, fits):
    overrides = {**values, "num_iterations": 2, "save_steps": 4, "gradient_accumulation_steps": 2}
    if fits:
        assert load_recipe(GrpoRecipe, "grpo", "demo", overrides).eval_steps == values["eval_steps"]
    else:
        with pytest.raises(InputError, match="eval_steps"):
            load_recipe(GrpoRecipe, "grpo", "demo", overrides)


def test_the_rewards_go_to_swift_by_name_with_their_weights(tmp_path):
    recipe = load_recipe(GrpoRecipe, "grpo", "demo")
    arguments = grpo_arguments(recipe, tmp_path, tmp_path, tmp_path, {"accuracy": 1.0, "format": 0.5})
    assert arguments["reward_funcs"] == ["accuracy", "format"]
    assert arguments["reward_weights"] == [1.0, 0.5]
    assert [path.rsplit("/", 1)[1] for path in arguments["external_plugins"]] == [
        "swift_data_only.py",
        "swift_template.py",
        "swift_strict.py",
        "swift_attention.py",
        "swift_no_vision_tokens.py",
        "swift_plugin.py",
        "swift_missing_scores.py",
        "swift_reward_outage.py",
        "swift_shown.py",
    ]
    assert arguments["callbacks"] == ["globe_steps", "globe_last_step", "globe_shown"]


def test_an_engine_is_configured_only_when_it_is_used(tmp_path):
    for name, used in (("demo", False), ("qwen2.5-vl-7b-three-rewards", True)):
        arguments = grpo_arguments(load_recipe(GrpoRecipe, "grpo", name), tmp_path, tmp_path, tmp_path, {"accuracy": 1.0})
        assert ("vllm_mode" in arguments) is used


def test_the_prompt_is_part_of_the_question_whether_the_recipe_or_the_policys_manifest_says_it(tmp_path):
    write_dataset(tmp_path / "pool", [])
    recipe = load_recipe(GrpoRecipe, "grpo", "demo")
    asked = recipe.model_copy(update={"prompt": "Which town?"})
    plain = Checkpoint("m", "", "b", "r", "p", 3)
    told = Checkpoint("m", "", "b", "r", "p", 3, prompt="Which town?")

    def prompt(policy, recipe):
        return question_of(policy=policy, data=tmp_path, judge=None, recipe_name="demo", recipe=recipe)["settings"]["prompt"]

    assert [prompt(plain, recipe), prompt(told, recipe), prompt(plain, asked)] == ["", "Which town?", "Which town?"]


def test_the_rewards_that_count_are_part_of_the_question_so_another_rule_for_them_is_another_training(tmp_path, monkeypatch):
    write_dataset(tmp_path / "pool", [])
    recipe = load_recipe(GrpoRecipe, "grpo", "demo")

    def weights():
        policy = Checkpoint("m", "", "b", "r", "p", 3)
        return question_of(policy=policy, data=tmp_path, judge=None, recipe_name="demo", recipe=recipe)["settings"]["weights"]

    assert weights() == recipe.weights(judged=False)
    monkeypatch.setattr(GrpoRecipe, "weights", lambda self, judged: {"format": 9.0})
    assert weights() == {"format": 9.0}


def test_a_pool_without_rows_is_named_before_ms_swift_is_started(tmp_path):
    write_dataset(tmp_path / "data" / "pool", [])
    recipe = load_recipe(GrpoRecipe, "grpo", "demo")
    policy = Checkpoint("/m", "/m/globe-checkpoint.json", "b", "", "", 0, {"model.safetensors": "0"})
    told = rf"^{tmp_path}/data/pool: curation kept no row to train on$"
    with pytest.raises(GlobeError, match=told):
        grpo(policy=policy, data=tmp_path / "data", judge=None, reward_url="", recipe_name="demo", recipe=recipe, store=tmp_path)
