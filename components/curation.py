"""Contract of stage curation: teachers annotate, rules verify, what survives is split."""

from kfp import dsl

from components.contract import contract


@contract("curation")
def curation(
    data: dsl.Input[dsl.Dataset],
    teachers: str,
    recipe: str,
    overrides: dict,
    store: str,
    curated: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
):
    """Annotate, verify and split a dataset.

    Args:
        data: Reference to the source dataset.
        teachers: Comma-separated MODEL@URL (and coordinates:MODEL@URL), or "simulated" for the toy world.
        recipe: Name of a curation recipe.
        overrides: Values that replace the recipe's, such as {"curation.min_score": 0.6}.
        store: Folder that keeps the results of all stages.
        curated: Reference to the curated sets: sft, reward_model, pool, test.
        metrics: How many rows came in and were kept.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.curation.recipe import CurationRecipe
    from globe.curation.stage import curation as stage
    from globe.settings import load_stage_recipe

    result = stage(
        data=Path(artifacts.read_result(data.path).outcome.outputs["data"]),
        teachers=teachers,
        recipe_name=recipe,
        recipe=load_stage_recipe(CurationRecipe, "curation", recipe, overrides),
        store=Path(store),
    )
    artifacts.write_reference(curated.path, result)
    for name in ("in", "kept"):
        metrics.log_metric(name, result.outcome.figures[name])
