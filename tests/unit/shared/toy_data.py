"""A small curated folder of the toy world, for tests that train on it."""

from pathlib import Path

from globe.curation.curation import curation
from globe.curation.recipe import CurationRecipe
from globe.data.recipe import SourceRecipe
from globe.data.source import source
from globe.recipes.load import load_recipe


def curated_toy(store: Path, pictures: int) -> Path:
    """Draw a toy world and curate it, as the demo does.

    Args:
        store: Where the stages keep their results.
        pictures: How many to draw.
    """
    drawn = source(source="toy", recipe=load_recipe(SourceRecipe, "source", "demo", {"toy_pictures": pictures}), store=store)
    curated = curation(
        data=Path(drawn.outcome.outputs["data"]),
        teachers="simulated",
        recipe_name="demo",
        recipe=load_recipe(CurationRecipe, "curation", "demo"),
        store=store,
    )
    return Path(curated.outcome.outputs["data"])
