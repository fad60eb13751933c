"""GRPO and its reward service on one machine never get the same GPU, or the run is refused before it starts."""

import pytest

from globe.errors import InputError
from globe.run.preflight import Plan, Request
from pipelines.local.machine import check_machine

BIG = {"grpo": "qwen2.5-vl-7b-three-rewards", "serving": "gpu"}
STATES = {"sft": "run", "reward_model": "run", "grpo": "run"}
EIGHT = [str(number) for number in range(8)]


def check(gpus, *, recipes=BIG, states=STATES, overrides=None, **promised):
    check_machine(Request(stages=(), recipes=recipes, overrides=overrides or {}, gpus=promised), Plan(states), gpus)


def test_a_trainer_on_all_gpus_leaves_none_for_the_reward_service():
    with pytest.raises(
        InputError, match=r"grpo trains on 8 GPUs and its reward service needs 1 of its own.*this machine shows 8"
    ):
        check(EIGHT)
    with pytest.raises(InputError, match="trains on 6 GPUs and its reward service needs 4"):
        check(EIGHT, grpo=6, overrides={"serving.tensor_parallel_size": 4})


def test_a_trainer_that_leaves_enough_may_start():
    check(EIGHT, grpo=7)
    check(EIGHT, overrides={"grpo.nproc_per_node": 4, "serving.tensor_parallel_size": 4})


@pytest.mark.parametrize("states", [STATES | {"grpo": "given"}, STATES | {"reward_model": "off"}, {}])
def test_without_grpo_or_without_a_judge_there_is_nothing_to_share(states):
    check(EIGHT, states=states)


def test_rewards_that_ask_no_service_need_no_gpu_beside_the_trainers():
    check(EIGHT, recipes=BIG | {"grpo": "qwen2.5-vl-7b-two-rewards"})


@pytest.mark.parametrize("gpus", [[], ["0"]])
def test_the_demo_trains_on_a_cpu_whatever_the_machine_has(gpus):
    check(gpus, recipes={"grpo": "demo", "serving": "demo"})
