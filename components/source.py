"""Contract of stage source: the toy world, a known data set, or photos from a folder, an archive or a table."""

from kfp import dsl

from components.contract import contract


@contract("source")
def source(
    source: str,
    recipes: dict,
    overrides: dict,
    store: str,
    data: dsl.Output[dsl.Dataset],
    start_from: dict = {},  # noqa: B006 (KFP's way to give a dict parameter a default)
):
    """Draw the toy world or read geotagged photos.

    Args:
        source: "toy"; a data set's NAME or NAME@PLACE; geotagged photos; a table with positions; or a dataset's folder.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"source.toy_pictures": 500}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        data: Reference to the dataset.
        start_from: If a curated folder is given, the source is not needed.
    """
    from globe.data.recipe import SourceRecipe
    from globe.data.source import source as stage
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.events import skip
    from globe.storage import open_store

    if start_from.get("curation"):
        skip("source", "curated data is given")
        artifacts.write_nothing(data.path)
        return
    recipe = load_stage_recipe(SourceRecipe, "source", recipes, overrides)
    artifacts.write_reference(data.path, stage(source=source, recipe=recipe, store=open_store(store)))
