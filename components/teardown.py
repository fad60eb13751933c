"""Contracts that end servers: the reward service after GRPO, and all of them when the run ends, whatever happened."""

from kfp import dsl

from components.contract import contract


@contract("stop_server")
def stop_reward_service(trained: dsl.Input[dsl.Model], cluster: dict, run: str):
    """End the reward service once GRPO no longer needs it.

    Args:
        trained: GRPO's checkpoint; only makes this task wait for it.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run.
    """
    from globe.run.cluster import Place, read_cluster
    from globe.serving.reward_service import stop_reward_service as stage

    stage(Place(run, cluster=read_cluster(cluster)))


@contract("teardown")
def teardown(cluster: dict, run: str):
    """End every server that the run has started.

    Args:
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run.
    """
    from globe.run.cluster import Place, read_cluster
    from globe.serving.teardown import teardown as stage

    stage(Place(run, cluster=read_cluster(cluster)))
