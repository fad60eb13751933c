"""Contract of stage reward model: a LoRA judge of localizability, merged into its base."""

from kfp import dsl

from components.contract import contract


@contract("reward_model")
def reward_model(
    base_model: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: str,
    nodes: dict,
    tolerations: list,
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    verdicts: dsl.Output[dsl.ClassificationMetrics],
    summary: dsl.Output[dsl.Markdown],
    curves: dsl.Output[dsl.HTML],
) -> str:
    """Train the judge on curation's verdicts and measure it on held-out pictures.

    Args:
        base_model: Manifest of the model the adapter is trained on and merged into.
        curated: Reference to the curated sets.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"reward_model.lora_rank": 8}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs that the stage is promised, in digits: a backend reads a pod's limits from texts only.
        nodes: Labels of the nodes that may run it; read by placement.
        tolerations: Taints that its pod tolerates; read by placement.
        checkpoint: Manifest of the merged model.
        metrics: Accuracy on held-out pictures, and GPUs.
        verdicts: What the judge says of pictures that can be located and of others, and how its threshold changes that.
        summary: What came out, and the GPUs that the stage was promised and sees.
        curves: What the trainer logged at each step.

    Returns:
        Path of the merged model's manifest.
    """
    from globe.evaluation.usage import usage_of_run
    from globe.recipes.load import load_stage_recipe
    from globe.report.stage_tables import write_training_table
    from globe.report.training_page import write_training_page
    from globe.run import artifacts
    from globe.run.gpus import require_gpus
    from globe.run.tracked import tell_training, tracked
    from globe.storage import open_store
    from globe.training.recipe import RewardModelRecipe
    from globe.training.reward_model import reward_model as stage

    had = require_gpus("reward_model", int(gpus))
    with tracked("reward_model") as record:
        result = stage(
            base_model=artifacts.checkpoint(base_model.path),
            data=artifacts.data_folder(curated.path),
            recipe_name=recipes["reward_model"],
            recipe=load_stage_recipe(RewardModelRecipe, "reward_model", recipes, overrides),
            gpus=had.promised,
            store=open_store(store),
            usage=usage_of_run(recipes, overrides),
            on_step=record.step,
        )
        tell_training(record, result)
    artifacts.write_checkpoint(checkpoint.path, result)
    held_out = result.outcome.figures["held_out"]
    for name, value in artifacts.finite(held_out | had.figures).items():
        metrics.log_metric(name, value)
    write_training_table(summary.path, result, had)
    write_training_page(curves.path, result)
    if held_out.get("confusion"):  # older results, and those without held-out pictures, have none
        verdicts.log_confusion_matrix(["localizable", "not localizable"], held_out["confusion"])
    for false_positive_rate, recall, threshold in held_out.get("roc", ()):
        verdicts.log_roc_data_point(false_positive_rate, recall, threshold)
    return str(artifacts.manifest_of(result))
