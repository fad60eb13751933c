"""Steps as the trainer's own loaders count them; seconds and hours against what was derived by hand, apart from this code."""

import math

import pytest

from globe.recipes.load import load_recipe
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.lengths import longest, typical
from globe.training.recipe import RewardModelRecipe, SftRecipe
from globe.training.shapes import model_shape
from globe.training.throughput import (
    CARDS,
    gpu_kind,
    hours,
    kinds_of_size,
    range_text,
    step_range,
    steps_of,
    tflop_a_sequence,
)

SEVEN = model_shape("qwen2.5-vl-7b")
SFT = load_recipe(SftRecipe, "sft", "qwen2.5-vl-7b", {})
JUDGE = load_recipe(RewardModelRecipe, "reward_model", "qwen2.5-vl-7b", {})
GRPO = load_recipe(
    GrpoRecipe,
    "grpo",
    "qwen2.5-vl-7b-two-rewards",
    {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "num_generations": 16, "beta": 0.001},
)
ROWS = 33_721
"""The paper's."""


def trainers_steps(batches: int, accumulated: int, epochs: float) -> int:
    """As transformers' Trainer makes steps of a loader's batches."""
    return math.ceil(epochs * max(batches // accumulated + int(batches % accumulated > 0), 1))


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 1000, ROWS])
@pytest.mark.parametrize(("batch", "accumulated", "epochs"), [(1, 8, 2), (4, 4, 1), (8, 1, 0.5)])
def test_steps_are_those_of_ms_swifts_own_loader(rows, batch, accumulated, epochs):
    from swift.dataloader.shard import BatchSamplerShard

    class OnEight(BatchSamplerShard):
        world_size = 8

    sampler = OnEight(rows, batch, shuffle=False, drop_last=False, data_seed=0)
    sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulated, "num_train_epochs": epochs}
    asked = SFT.model_copy(update=sizes | {"nproc_per_node": 8})
    assert steps_of(asked, rows) == trainers_steps(len(sampler), accumulated, epochs)


@pytest.mark.parametrize("rows", [8, 100, ROWS])
@pytest.mark.parametrize(("accumulated", "per_generation", "iterations"), [(2, None, 1), (2, 4, 1), (2, 2, 2), (8, None, 1)])
def test_grpos_steps_are_those_of_its_own_sampler(rows, accumulated, per_generation, iterations):
    from trl.trainer.grpo_trainer import RepeatSampler

    micro = per_generation or accumulated
    batch = 8 * GRPO.per_device_train_batch_size * micro  # completions of a rollout, on eight GPUs
    sampler = RepeatSampler(range(rows), GRPO.num_generations, batch // GRPO.num_generations, iterations * micro)
    sizes = {"gradient_accumulation_steps": accumulated, "steps_per_generation": per_generation, "num_iterations": iterations}
    asked = GRPO.model_copy(update=sizes)
    # The loader of a process yields a whole rollout's share at once, and trl gives it so often as it is trained on.
    expected = trainers_steps(len(sampler) // batch, accumulated, 1)
    assert steps_of(asked, rows) == expected


def test_steps_without_rows_are_known_only_where_the_recipe_says_them():
    assert steps_of(SFT.model_copy(update={"max_steps": 30}), None) == 30
    assert steps_of(SFT, None) is None
    assert steps_of(SFT.model_copy(update={"num_train_epochs": 1e308}), ROWS) is None
    assert steps_of(GRPO, ROWS) == 4215


@pytest.mark.parametrize(("tokens", "tflop"), [(1280, 173), (240, 68)])
def test_a_sequence_of_grpo_costs_what_was_derived_by_hand(tokens, tflop):
    assert tflop_a_sequence(GRPO, SEVEN, typical(GRPO, tokens, longest(GRPO, SEVEN))) == pytest.approx(tflop, rel=0.1)


@pytest.mark.parametrize(("kind", "fastest", "slowest"), [("A100", 23, 70), ("H100", 14, 50)])
def test_a_step_of_grpo_takes_what_was_derived_by_hand(kind, fastest, slowest):
    """Eight GPUs, two rewards, one window at a time: from photos of 500 px to the largest. Short completions make it faster than
    that derivation's."""
    stock = GRPO.model_copy(update={"vit_attention": "stock"})
    low, high = step_range(stock, SEVEN, longest(GRPO, SEVEN), [kind])
    assert high == pytest.approx(slowest, rel=0.1)
    assert 0.4 * fastest < low < fastest


def test_a_range_over_two_kinds_spans_both_and_an_unknown_kind_has_none():
    most = longest(GRPO, SEVEN)
    (fast, _), (_, slow) = step_range(GRPO, SEVEN, most, ["H100"]), step_range(GRPO, SEVEN, most, ["A100"])
    assert step_range(GRPO, SEVEN, most, ["A100", "H100"]) == (fast, slow)
    assert step_range(GRPO, SEVEN, most, ["T4"]) is None


def test_adapters_save_a_pass_backward_and_a_kl_term_costs_one_forward():
    most = longest(JUDGE, SEVEN)
    full = tflop_a_sequence(JUDGE.model_copy(update={"tuner_type": "full"}), SEVEN, most)
    text_pass = 2 * (SEVEN.text.parameters - SEVEN.text.embedding) * most.total / 1e12
    assert full - tflop_a_sequence(JUDGE, SEVEN, most) == pytest.approx(text_pass, rel=0.1)
    most = longest(GRPO, SEVEN)
    whole, without = (tflop_a_sequence(GRPO.model_copy(update={"beta": beta}), SEVEN, most) for beta in (0.001, 0.0))
    assert (whole - without) / whole == pytest.approx(0.19, abs=0.02)


def test_hours_are_steps_times_seconds():
    assert hours(3600, (2.0, 3.0)) == (2.0, 3.0)
    assert hours(None, (2.0, 3.0)) is None
    assert hours(10, None) is None


def test_the_kind_is_read_from_the_node_labels_and_else_from_the_memory():
    assert gpu_kind({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}) == "A100"
    assert gpu_kind({"zone": "a", "cloud/accelerator": "nvidia-h100-80gb"}) == "H100"
    assert gpu_kind({"nvidia.com/gpu.product": "Tesla-T4"}) == ""
    assert gpu_kind({}) == ""
    assert kinds_of_size(80) == ("A100", "H100")
    assert kinds_of_size(40) == ("A100",)
    assert kinds_of_size(81559 / 1024) == ("A100", "H100")  # what an H100 says that it has
    assert kinds_of_size(11) == ()
    assert set(CARDS) >= {"A100", "H100", "H200"}


def test_an_estimate_has_few_digits():
    assert [range_text(*pair) for pair in ((6.06, 15.2), (214.9, 655.8), (0.04, 0.04))] == ["6.1 to 15", "215 to 656", "0.0"]
