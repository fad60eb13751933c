"""Contracts that end servers: the reward service after GRPO, and all of them when the run ends, which is told then."""

from kfp import dsl

from components.contract import contract


@contract("stop_server")
def stop_reward_service(trained: dsl.Input[dsl.Model], cluster: dict, run: str, store: str):
    """End the reward service once GRPO no longer needs it.

    Args:
        trained: GRPO's checkpoint; only makes this task wait for it.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run.
        store: Folder or s3:// prefix that keeps the results of all stages.
    """
    from globe.run.cluster import Place, read_cluster
    from globe.serving.reward_service import stop_reward_service as stage

    stage(Place(run, cluster=read_cluster(cluster), store=store))


@contract("teardown")
def teardown(
    cluster: dict,
    run: str,
    store: str,
    pipeline: str,
    goal: str,
    summary: dsl.Output[dsl.Markdown],
    servers: bool = True,
):
    """End every server that the run has started; then tell how the run ended, what it took and what that cost.

    Args:
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run.
        store: Folder or s3:// prefix that keeps the results of all stages.
        pipeline: The pipeline's title.
        goal: Stage whose success is the run's.
        summary: How the run ended, its stages, GPU-hours and cost.
        servers: Whether the pipeline starts any.
    """
    from globe.run.cluster import Place, read_cluster
    from globe.run.finish import tell_end
    from globe.serving.teardown import teardown as stage

    place = Place(run, cluster=read_cluster(cluster), store=store)
    try:
        stage(place, servers=servers)
    finally:  # whoever waits for the run's last word gets it even if a server does not end
        tell_end(place, pipeline, goal, summary.path)
