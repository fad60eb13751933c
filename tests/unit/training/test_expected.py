"""What a training is expected to take: steps as its trainer would count them, hours by the formula, and what is not known."""

import json

import pytest

from globe.data.shards import write_dataset
from globe.recipes.load import load_recipe
from globe.training.expected import expected_training, gpu_kind, parameters_of, range_text, rows_of, steps_of
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe

SFT = load_recipe(SftRecipe, "sft", "qwen2.5-vl-7b", {})
JUDGE = load_recipe(RewardModelRecipe, "reward_model", "qwen2.5-vl-7b", {})
GRPO = load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards", {})
ROWS, PARAMETERS = 33_721, 8.29e9
"""The paper's rows, and the parameters of Qwen2.5-VL-7B."""


def expected(recipe=SFT, stage="sft", **more):
    known = {"rows": ROWS, "at_most": False, "kind": "A100", "parameters": PARAMETERS} | more
    return expected_training(stage, recipe, 8, **known)


def test_steps_are_those_of_the_paper():
    assert steps_of(SFT, ROWS) == 1054  # two epochs of 64
    assert steps_of(GRPO, ROWS) == 4216  # one of 8 prompts with 16 completions each
    assert steps_of(SFT.model_copy(update={"max_steps": 30}), None) == 30
    assert steps_of(SFT, None) is None
    assert steps_of(SFT.model_copy(update={"num_train_epochs": 1e308}), ROWS) is None


def test_hours_are_flop_over_the_rate_for_small_and_for_the_largest_photos():
    per_token = 8 * 4 * 2 * PARAMETERS  # sequences a GPU, passes, FLOP
    low, high = (per_token * tokens / 140e12 for tokens in (240 + 450, 1_003_520 / 28**2 + 450))
    found = expected()
    assert found.step_s == pytest.approx((low, high))
    assert found.gpu_hours == pytest.approx((1054 * 8 * low / 3600, 1054 * 8 * high / 3600))
    assert found.unknown == ""


def test_a_sequence_costs_grpos_derivation_what_the_formula_says():
    """173 TFLOP at 1,280 image tokens and 68 at 240 were derived by hand, with three forwards more than SFT has."""
    for tokens, tflop in ((1280, 173), (240, 68)):
        assert 6 * 2 * PARAMETERS * (tokens + 450) / 1e12 == pytest.approx(tflop, rel=0.02)


def test_adapters_save_a_pass_and_so_does_keeping_what_the_forward_made():
    full, lora = (expected(recipe).step_s for recipe in (SFT.model_copy(update={"gradient_accumulation_steps": 4}), JUDGE))
    assert [low / full[0] for low in lora[:1]] == pytest.approx([3 / 4])
    assert expected(SFT.model_copy(update={"gradient_checkpointing": False})).step_s[0] == pytest.approx(
        expected().step_s[0] * 3 / 4
    )


def test_grpo_is_known_for_the_shape_it_was_derived_for_and_for_no_other():
    assert expected(GRPO, "grpo").step_s == (23.0, 70.0)
    assert expected(GRPO, "grpo", kind="H100").step_s == (14.0, 50.0)
    for other in ({"per_device_train_batch_size": 4}, {"max_completion_length": 2048}, {"use_vllm": False}):
        found = expected(GRPO.model_copy(update=other), "grpo")
        assert (found.gpu_hours, found.unknown) == (None, "the time of a step of this shape")
    assert expected(GRPO, "grpo", parameters=3e9).gpu_hours is None


def test_what_is_missing_is_named_and_what_a_thousand_rows_take():
    nothing = expected(rows=None, kind="", parameters=None)
    assert nothing.gpu_hours is None
    assert nothing.unknown == "how many rows it trains on, the kind of GPU (A100 or H100, by its node label), the model's size"
    thousand = expected(rows=1000).gpu_hours
    assert expected(rows=None).unknown == f"how many rows it trains on; 1,000 of them take {range_text(*thousand)} GPU-hours"


def test_the_kind_is_read_from_the_node_labels():
    assert gpu_kind({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}) == "A100"
    assert gpu_kind({"zone": "a", "cloud/accelerator": "nvidia-H100-80GB"}) == "H100"
    assert gpu_kind({"nvidia.com/gpu.product": "NVIDIA-L4"}) == ""
    assert gpu_kind({}) == ""


def test_a_models_size_is_that_of_its_weights(tmp_path):
    assert parameters_of(str(tmp_path)) is None
    (tmp_path / "config.json").write_text(json.dumps({"torch_dtype": "bfloat16"}))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 16_584_333_312}}))
    assert parameters_of(str(tmp_path)) == 8_292_166_656
    (tmp_path / "config.json").write_text(json.dumps({"dtype": "float32"}))
    assert parameters_of(f"{tmp_path}/") == 4_146_083_328
    (tmp_path / "config.json").write_text(json.dumps({"dtype": "int4"}))
    assert parameters_of(str(tmp_path)) is None


def test_rows_are_counted_without_reading_the_dataset(tmp_path):
    write_dataset(tmp_path / "sft", [])
    assert rows_of(str(tmp_path / "sft")) == 0
    assert rows_of(str(tmp_path)) is None
    assert rows_of("/nowhere") is None


def test_an_estimate_has_few_digits():
    assert [range_text(*pair) for pair in ((6.06, 15.2), (214.9, 655.8), (0.04, 0.04))] == ["6.1 to 15", "215 to 656", "0.0"]
