"""How a model is asked and served, and who says it."""

from globe.evaluation.usage import usage_of_run
from globe.models.checkpoints import Usage


def test_a_runs_manifests_hold_the_resolved_values_of_its_recipes_without_the_gate():
    usage = usage_of_run(
        {"serving": "demo", "evaluation": "demo", "sft": "demo"}, {"serving.max_model_len": 700, "sft.num_train_epochs": 2}
    )
    assert (usage.serving["max_model_len"], usage.serving["max_pixels"]) == (700, 3136)
    assert usage.evaluation["max_tokens"] == 48
    assert "gate" not in usage.evaluation


def test_a_run_that_neither_serves_nor_evaluates_says_nothing():
    assert usage_of_run({"sft": "demo"}, {}) == Usage()
