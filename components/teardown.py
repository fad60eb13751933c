"""Contracts of what ends servers: the reward service after GRPO, everything when the run ends, whatever happened."""

from kfp import dsl

from components.contract import contract


@contract("evaluate")
def stop_reward_service(trained: dsl.Input[dsl.Model], cluster: dict, run: str):
    """End the reward service once GRPO has no more questions.

    Args:
        trained: GRPO's checkpoint; only makes this task wait for it.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run.
    """
    from globe.serving.stages import Place, stop_one
    from globe.training.grpo import REWARD_MODEL_NAME

    stop_one("reward_service", REWARD_MODEL_NAME, Place(run, cluster=cluster))


@contract("evaluate")
def teardown(cluster: dict, run: str):
    """End every server that the run has started.

    Args:
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run.
    """
    from globe.serving.stages import Place, tear_down

    tear_down("teardown", Place(run, cluster=cluster))
