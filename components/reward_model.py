"""Contract of stage reward model: a LoRA judge of localizability, merged into its base."""

from kfp import dsl

from components.contract import contract


@contract("train")
def reward_model(
    base_model: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipe: str,
    overrides: dict,
    store: str,
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Train the judge on curation's verdicts and measure it on held-out pictures.

    Args:
        base_model: Manifest of the model the adapter is trained on and merged into.
        curated: Reference to the curated sets.
        recipe: Name of a reward-model recipe.
        overrides: Values that replace the recipe's, such as {"reward_model.lora_rank": 8}.
        store: Folder that keeps the results of all stages.
        checkpoint: Manifest of the merged model.
        metrics: Accuracy on held-out pictures.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.settings import load_stage_recipe
    from globe.training.recipe import RewardModelRecipe
    from globe.training.reward_model import reward_model as stage

    result = stage(
        base_model=artifacts.checkpoint(base_model.path),
        data=Path(artifacts.read_result(curated.path).outcome.outputs["data"]),
        recipe_name=recipe,
        recipe=load_stage_recipe(RewardModelRecipe, "reward_model", recipe, overrides),
        store=Path(store),
    )
    artifacts.write_checkpoint(checkpoint.path, result)
    for name in ("n", "accuracy", "balanced_accuracy"):
        if name in result.outcome.figures["held_out"]:
            metrics.log_metric(name, result.outcome.figures["held_out"][name])
