"""Contract of stage GRPO: reinforce what the rewards agree on."""

from kfp import dsl

from components.contract import contract


@contract("grpo")
def grpo(
    policy: dsl.Input[dsl.Model],
    judge: dsl.Input[dsl.Model],
    reward_url: str,
    curated: dsl.Input[dsl.Dataset],
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: str,
    nodes: dict,
    tolerations: list,
    cluster: dict,
    run: str,
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    curves: dsl.Output[dsl.HTML],
) -> str:
    """Train the policy with group relative policy optimisation.

    Args:
        policy: Manifest of the model to start from.
        judge: Manifest of the reward model; an empty one leaves the localizability reward out.
        reward_url: Where the reward model is served.
        curated: Reference to the curated sets, of which GRPO uses the pool.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"grpo.beta": 0.0}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs that the stage is promised, in digits: a backend reads a pod's limits from texts only.
        nodes: Labels of the nodes that may run it; read by placement.
        tolerations: Taints that its pod tolerates; read by placement.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run, for the labels of what it creates in the cluster.
        checkpoint: Manifest of the trained model.
        metrics: Steps, the mean reward of the first and the last ten of them, what was measured on held-out rows, and GPUs.
        summary: What came out, where TensorBoard's files lie, and the GPUs that the stage was promised and sees.
        curves: What the trainer logged at each step, the alarms, and samples of the last step.

    Returns:
        Path of the trained model's manifest.
    """
    from functools import partial

    from globe.evaluation.usage import usage_of_run
    from globe.recipes.load import load_stage_recipe
    from globe.report.samples_page import write_samples_page
    from globe.report.stage_tables import write_training_table
    from globe.report.training_page import write_training_page
    from globe.run import artifacts
    from globe.run.cluster import read_cluster
    from globe.run.gpus import require_gpus
    from globe.run.tracked import tell_training, tracked
    from globe.run.training_nodes import training_nodes
    from globe.serving.servers import run_key, watch
    from globe.storage import open_store
    from globe.training.grpo import REWARD_MODEL_NAME
    from globe.training.grpo import grpo as stage
    from globe.training.grpo_recipe import GrpoRecipe

    where = {"gpus": int(gpus), "nodes": nodes, "tolerations": tolerations, "run": run, "store": store}
    several = training_nodes("grpo", read_cluster(cluster), **where)
    had = require_gpus("grpo", int(gpus), elsewhere=several.all_gpus if several else 0)
    with tracked("grpo") as record:
        result = stage(
            policy=artifacts.checkpoint(policy.path),
            judge=artifacts.optional_checkpoint(judge.path),
            reward_url=reward_url,
            data=artifacts.data_folder(curated.path),
            recipe_name=recipes["grpo"],
            recipe=load_stage_recipe(GrpoRecipe, "grpo", recipes, overrides),
            gpus=had.promised,
            several=several,
            guard=watch(REWARD_MODEL_NAME),
            reward_key=partial(run_key, REWARD_MODEL_NAME, store),
            store=open_store(store),
            usage=usage_of_run(recipes, overrides),
            on_step=record.step,
            page=write_samples_page,
        )
        tell_training(record, result)
    artifacts.write_checkpoint(checkpoint.path, result)
    for name, value in artifacts.finite({**result.outcome.figures, **had.figures}).items():
        metrics.log_metric(name, value)
    write_training_table(summary.path, result, had)
    write_training_page(curves.path, result)
    return str(artifacts.manifest_of(result))
