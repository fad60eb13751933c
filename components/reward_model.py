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
        metrics: Accuracy on held-out pictures.

    Returns:
        Path of the merged model's manifest.
    """
    from globe.evaluation.usage import usage_of_run
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.gpus import require_gpus
    from globe.run.tracked import tell_training
    from globe.run.tracking import tracked
    from globe.storage import open_store
    from globe.training.recipe import RewardModelRecipe
    from globe.training.reward_model import reward_model as stage

    require_gpus("reward_model", int(gpus))
    with tracked("reward_model") as record:
        result = stage(
            base_model=artifacts.checkpoint(base_model.path),
            data=artifacts.data_folder(curated.path),
            recipe_name=recipes["reward_model"],
            recipe=load_stage_recipe(RewardModelRecipe, "reward_model", recipes, overrides),
            store=open_store(store),
            usage=usage_of_run(recipes, overrides),
            on_step=record.step,
        )
        tell_training(record, result)
    artifacts.write_checkpoint(checkpoint.path, result)
    held_out = result.outcome.figures["held_out"]
    for name, value in artifacts.finite(held_out, ("n", "accuracy", "balanced_accuracy")).items():
        metrics.log_metric(name, value)
    return str(artifacts.manifest_of(result))
