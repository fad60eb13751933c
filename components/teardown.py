"""Contracts of what ends servers: the reward service after GRPO, everything when the run ends, whatever happened."""

from kfp import dsl

from components.contract import contract


@contract("serve")
def stop_reward_service(trained: dsl.Input[dsl.Model]):
    """End the reward service once GRPO has no more questions.

    Args:
        trained: GRPO's checkpoint; only makes this task wait for it.
    """
    from globe.serving.stages import stop_one
    from globe.training.grpo import REWARD_MODEL_NAME

    stop_one("reward_service", REWARD_MODEL_NAME)


@contract("serve")
def teardown():
    """End every server that the run has started."""
    from globe.serving.stages import tear_down

    tear_down("teardown")
