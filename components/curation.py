"""Contract of stage curation in one pod: teachers annotate, rules verify, and what passes is split."""

from kfp import dsl

from components.contract import contract


@contract("curation")
def curation(
    data: dsl.Input[dsl.Dataset],
    teachers: str,
    recipes: dict,
    overrides: dict,
    store: str,
    curated: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    start_from: dict = {},  # noqa: B006 (KFP's way to give a dict parameter a default)
):
    """Annotate, verify and split a dataset.

    Args:
        data: Reference to the source dataset.
        teachers: Comma-separated MODEL@URL, witnesses as KIND:MODEL[@URL], or "simulated" for the toy world.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"curation.min_score": 0.6}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        curated: Reference to the curated sets: sft, reward_model, pool, test.
        metrics: How many rows came in, and how many were kept.
        summary: Why the others were dropped, the sets, and how often each teacher answered.
        start_from: A curated folder to use instead, as {"curation": URI}.
    """
    from globe.curation.curation import curation as stage
    from globe.curation.curation import given
    from globe.curation.recipe import CurationRecipe
    from globe.data.shards import fetch_dataset
    from globe.recipes.load import load_stage_recipe
    from globe.report.stage_tables import write_curation_table
    from globe.run import artifacts
    from globe.storage import open_store

    if start_from.get("curation"):
        result = given(uri=fetch_dataset(start_from["curation"]), store=open_store(store))
    else:
        result = stage(
            data=artifacts.data_folder(data.path),
            teachers=teachers,
            recipe_name=recipes["curation"],
            recipe=load_stage_recipe(CurationRecipe, "curation", recipes, overrides),
            store=open_store(store),
        )
    artifacts.write_reference(curated.path, result)
    for name, value in artifacts.finite(result.outcome.figures, ("in", "kept")).items():
        metrics.log_metric(name, value)
    write_curation_table(summary.path, result)
