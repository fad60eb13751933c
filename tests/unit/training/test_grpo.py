"""The reward curve that survives a kill, and what is asked of ms-swift."""

import pytest

from globe.errors import GlobeError
from globe.settings import load_recipe
from globe.training.grpo import Curve, _arguments
from globe.training.recipe import GrpoRecipe


def test_a_resumed_curve_keeps_the_old_steps_and_replaces_those_done_again(tmp_path):
    curve = Curve(tmp_path / "rewards.json")
    for step in (1, 2, 3):
        curve.add(step, {"reward": float(step), "rewards/format/mean": 1.0, "loss": 9.0})
    resumed = Curve(tmp_path / "rewards.json")
    resumed.add(3, {"reward": 30.0})
    resumed.add(4, {"reward": 4.0})
    assert resumed.edges() == (pytest.approx(37 / 4), pytest.approx(37 / 4))
    assert "loss" not in (tmp_path / "rewards.json").read_text()


def test_the_edges_are_the_first_and_the_last_ten_steps(tmp_path):
    curve = Curve(tmp_path / "rewards.json")
    for step in range(1, 31):
        curve.add(step, {"reward": float(step)})
    assert curve.edges() == (5.5, 25.5)


def test_a_training_that_logged_no_reward_is_an_error(tmp_path):
    with pytest.raises(GlobeError, match="no reward"):
        Curve(tmp_path / "rewards.json").edges()


def test_the_rewards_go_to_swift_by_name_with_their_weights(tmp_path):
    recipe = load_recipe(GrpoRecipe, "grpo", "demo")
    arguments = _arguments(recipe, {"accuracy": 1.0, "format": 0.5}, tmp_path, tmp_path)
    assert arguments["reward_funcs"] == ["accuracy", "format"]
    assert arguments["reward_weights"] == [1.0, 0.5]
    assert [path.rsplit("/", 1)[1] for path in arguments["external_plugins"]] == ["swift_template.py", "swift_plugin.py"]


def test_an_engine_is_configured_only_when_it_is_used(tmp_path):
    for name, used in (("demo", False), ("qwen2.5-vl-7b-three-rewards", True)):
        arguments = _arguments(load_recipe(GrpoRecipe, "grpo", name), {"accuracy": 1.0}, tmp_path, tmp_path)
        assert ("vllm_mode" in arguments) is used
