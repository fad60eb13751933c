"""Contract of stage SFT: teach the answer format and the reasoning that curation kept."""

from kfp import dsl

from components.contract import contract


@contract("train")
def sft(
    base_model: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipe: str,
    overrides: dict,
    store: str,
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Fine-tune the base model on curated rows.

    Args:
        base_model: Manifest of the model to start from.
        curated: Reference to the curated sets.
        recipe: Name of an SFT recipe.
        overrides: Values that replace the recipe's, such as {"sft.max_steps": 100}.
        store: Folder that keeps the results of all stages.
        checkpoint: Manifest of the trained model.
        metrics: Rows, steps and the last loss.

    Returns:
        Path of the trained model's manifest.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.settings import load_stage_recipe
    from globe.training.recipe import SftRecipe
    from globe.training.sft import sft as stage

    result = stage(
        base_model=artifacts.checkpoint(base_model.path),
        data=Path(artifacts.read_result(curated.path).outcome.outputs["data"]),
        recipe_name=recipe,
        recipe=load_stage_recipe(SftRecipe, "sft", recipe, overrides),
        store=Path(store),
    )
    artifacts.write_checkpoint(checkpoint.path, result)
    for name, value in result.outcome.figures.items():
        metrics.log_metric(name, value)
    return str(artifacts.manifest_of(result))
