"""Contract of stage SFT: teach the answer format and the reasoning that curation kept."""

from kfp import dsl

from components.contract import contract


@contract("sft")
def sft(
    base_model: dsl.Input[dsl.Model],
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
    """Fine-tune the base model on curated rows.

    Args:
        base_model: Manifest of the model to start from.
        curated: Reference to the curated sets.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"sft.max_steps": 100}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs that the stage is promised, in digits: a backend reads a pod's limits from texts only.
        nodes: Labels of the nodes that may run it; read by placement.
        tolerations: Taints that its pod tolerates; read by placement.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run, for the labels of what it creates in the cluster.
        checkpoint: Manifest of the trained model.
        metrics: Rows, steps, the last loss, and GPUs.
        summary: What came out, and the GPUs that the stage was promised and sees.
        curves: What the trainer logged at each step.

    Returns:
        Path of the trained model's manifest.
    """
    from globe.evaluation.usage import usage_of_run
    from globe.recipes.load import load_stage_recipe
    from globe.report.stage_tables import write_training_table
    from globe.report.training_page import write_training_page
    from globe.run import artifacts
    from globe.run.cluster import read_cluster
    from globe.run.gpus import require_gpus
    from globe.run.tracked import tell_training, tracked
    from globe.run.training_nodes import training_nodes
    from globe.storage import open_store
    from globe.training.recipe import SftRecipe
    from globe.training.sft import sft as stage

    where = {"gpus": int(gpus), "nodes": nodes, "tolerations": tolerations, "run": run, "store": store}
    several = training_nodes("sft", read_cluster(cluster), **where)
    had = require_gpus("sft", int(gpus), elsewhere=several.all_gpus if several else 0)
    with tracked("sft") as record:
        result = stage(
            base_model=artifacts.checkpoint(base_model.path),
            data=artifacts.data_folder(curated.path),
            recipe_name=recipes["sft"],
            recipe=load_stage_recipe(SftRecipe, "sft", recipes, overrides),
            gpus=had.promised,
            several=several,
            store=open_store(store),
            usage=usage_of_run(recipes, overrides),
            on_step=record.step,
        )
        tell_training(record, result)
    artifacts.write_checkpoint(checkpoint.path, result)
    for name, value in artifacts.finite({**result.outcome.figures, **had.figures}).items():
        metrics.log_metric(name, value)
    write_training_table(summary.path, result, had)
    write_training_page(curves.path, result)
    return str(artifacts.manifest_of(result))
