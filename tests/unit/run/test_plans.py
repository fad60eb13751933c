"""Whether a run's trainings fit the GPUs that its nodes have, before any is asked for."""

from dataclasses import replace

import pytest

from globe.errors import InputError
from globe.run.cluster import Cluster
from globe.run.plan_page import expected_use
from globe.run.plans import card_gb, refuse_what_cannot_fit, training_plans
from globe.run.preflight import check_settings
from globe.run.validate import validate
from pipelines.catalog import PIPELINES
from pipelines.profile import arguments_of, load_profile


def asked(**settings):
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return PIPELINES["training"].request(arguments_of(PIPELINES["training"], load_profile("8x80gb"), named))


def plans_of(request, cluster=None):
    return training_plans(request, check_settings(request), cluster)


def test_the_profiles_run_fits_its_own_nodes():
    plans = plans_of(asked())
    assert {stage: plan.gpu_memory_gb for stage, plan in plans.items()}["grpo"] == pytest.approx(85.9, abs=0.1)
    refuse_what_cannot_fit(plans)


def test_a_run_whose_training_cannot_fit_is_refused_by_its_stage():
    smaller = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}
    plans = plans_of(asked(node_selectors={"sft": smaller, "reward_model": smaller, "grpo": smaller, "serving": {}}))
    with pytest.raises(InputError, match=r"^grpo: does not fit on 8 GPUs: .*above 92%"):
        refuse_what_cannot_fit(plans)


def test_validate_ends_with_the_reason():
    request = replace(asked(overrides={"sft.deepspeed": None, "grpo.deepspeed": None}), base_model=None, store="", source="toy")
    request = replace(request, teachers="simulated")
    with pytest.raises(InputError, match=r"does not fit on 8 GPUs: .*set deepspeed=zero3"):
        validate(request, {"check_nodes": False, "secrets": []})


def test_a_recipe_on_other_gpus_than_it_was_written_for_is_told_in_the_runs_notes():
    large = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    nodes = {"sft": large, "reward_model": large, "grpo": large, "serving": {}}
    request = replace(
        asked(sft_gpus=4, node_selectors=nodes), base_model=None, store="", source="toy", teachers="simulated", train_sft=True
    )
    notes = validate(request, {"check_nodes": False, "secrets": []}).notes
    assert any(note.startswith("sft: written for 8 GPUs; on 4: 4 processes, gradient_accumulation_steps 4,") for note in notes)


def test_a_training_on_several_nodes_is_planned_for_the_gpus_of_all():
    two = Cluster(training_nodes={"grpo": 2})
    request = asked(grpo_gpus=4)
    plans = training_plans(request, check_settings(request, two), two)
    alone = plans_of(asked())
    assert (plans["grpo"].gpus, plans["grpo"].processes) == (8, 8)
    assert plans["grpo"].memory_gb_per_gpu == alone["grpo"].memory_gb_per_gpu
    used = {one.stage: one for one in expected_use(request, check_settings(request, two), two)}
    assert (used["grpo"].gpus, used["grpo"].gpu_hours) == (8, alone["grpo"].gpu_hours)
    uneven = asked(grpo_gpus=8, overrides={"grpo.gradient_accumulation_steps": 1, "grpo.per_device_train_batch_size": 16})
    check_settings(uneven)
    with pytest.raises(InputError, match="grpo_gpus: 24 GPUs: a batch of 128 cannot be shared out evenly"):
        check_settings(uneven, Cluster(training_nodes={"grpo": 3}))


def test_a_training_is_refused_by_the_memory_of_its_pods_and_several_nodes_have_that_of_all():
    small = {"sizes": {"grpo": {"memory": "24Gi"}}}
    with pytest.raises(InputError, match=r"^grpo: .*host memory: 8 processes take [0-9.]+ GB .*, and 25\.8 GB are there"):
        refuse_what_cannot_fit(plans_of(asked(), Cluster(**small)))
    refuse_what_cannot_fit(plans_of(asked(), Cluster(sizes={"grpo": {"memory": "400Gi"}})))
    needed = plans_of(asked())["grpo"].host_memory_gb
    half = {"sizes": {"grpo": {"memory": f"{needed * 0.55:.0f}G"}}, "training_nodes": {"grpo": 2}}
    request = asked(grpo_gpus=4)
    refuse_what_cannot_fit(training_plans(request, check_settings(request), Cluster(**half)))


def test_a_servers_context_that_is_shorter_than_a_picture_and_its_answer_is_refused():
    with pytest.raises(InputError, match=r"grpo: .*max_model_len of serving recipe gpu: 1,280 image tokens"):
        refuse_what_cannot_fit(plans_of(asked(overrides={"serving.max_model_len": 2000})))


def test_a_card_is_as_large_as_its_label_says_or_else_the_profile():
    assert card_gb({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}) == 40
    assert card_gb({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}) == 80
    assert card_gb({"nvidia.com/gpu.memory": "40960", "nvidia.com/gpu.product": "x"}) == 40
    assert card_gb({"nvidia.com/gpu.memory": "much", "nvidia.com/gpu.product": "Tesla-T4"}) == 0
    assert card_gb({"disk": "500GB", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}) == 40
    assert card_gb({"nvidia.com/gpu.memory": "inf", "pool": "a100-80gb"}) == 80
    bare = asked(node_selectors={"sft": {}, "reward_model": {}, "grpo": {}, "serving": {}})
    assert {plan.gpu_memory_gb for plan in plans_of(bare).values()} == {0.0}
    with pytest.raises(InputError, match=r"above 92%"):
        refuse_what_cannot_fit(plans_of(bare, Cluster(gpu_memory_gb=40)))


def test_a_laptop_has_no_plan_and_is_refused_nothing():
    request = PIPELINES["training"].request(arguments_of(PIPELINES["training"], load_profile("demo"), {}))
    assert training_plans(request, check_settings(request), None) == {}
