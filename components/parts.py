"""Contracts of a curation by several annotators: each reads and asks about its parts of the source, and all are put together."""

from kfp import dsl

from components.contract import contract


@contract("cut")
def cut(source: str, annotators: int, recipes: dict, overrides: dict, store: str, shares: dsl.Output[dsl.Artifact]) -> list[int]:
    """Count a source's rows and cut them into parts.

    Args:
        source: As in stage source.
        annotators: How many are to share the parts.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"curation.part_rows": 5000}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        shares: How the source is cut.

    Returns:
        Numbers of the annotators that have any part.
    """
    from dataclasses import asdict

    from globe.curation.cut import cut as stage
    from globe.curation.recipe import CurationRecipe
    from globe.data.recipe import SourceRecipe
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.storage import open_store

    made = stage(
        source=source,
        recipe=load_stage_recipe(SourceRecipe, "source", recipes, overrides),
        part_rows=load_stage_recipe(CurationRecipe, "curation", recipes, overrides).part_rows,
        annotators=annotators,
        store=open_store(store),
    )
    artifacts.write_values(shares.path, asdict(made))
    return made.numbers


@contract("source")
def source(
    source: str,
    annotator: int,
    shares: dsl.Input[dsl.Artifact],
    recipes: dict,
    overrides: dict,
    store: str,
    parts: dsl.Output[dsl.Artifact],
):
    """Read the parts of one annotator.

    Args:
        source: "toy"; a data set's NAME or NAME@PLACE; geotagged photos; a table with positions; or a dataset's folder.
        annotator: Number of the annotator, starting from 0.
        shares: How the source is cut.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"source.keep_remote": True}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        parts: References to the parts' datasets.
    """
    from globe.curation.cut import Shares
    from globe.curation.source_part import source_part as stage
    from globe.data.recipe import SourceRecipe
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.storage import open_store

    recipe = load_stage_recipe(SourceRecipe, "source", recipes, overrides)
    made, kept = Shares(**artifacts.read_values(shares.path)), open_store(store)
    results = [stage(source=source, recipe=recipe, shares=made, part=part, store=kept) for part in made.of(annotator)]
    artifacts.write_references(parts.path, [results])


@contract("annotate")
def annotate(
    source: str,
    parts: dsl.Input[dsl.Artifact],
    teachers: str,
    recipes: dict,
    overrides: dict,
    store: str,
    asked: dsl.Output[dsl.Artifact],
):
    """Ask the teachers about the parts of one annotator.

    Args:
        source: As in stage source.
        parts: References to the parts' datasets.
        teachers: Comma-separated MODEL@URL, witnesses as KIND:MODEL[@URL], or "simulated" for the toy world.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"curation.concurrency": 64}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        asked: References to the parts' datasets and the teachers' replies.
    """
    from globe.curation.annotate import annotate as stage
    from globe.curation.recipe import CurationRecipe
    from globe.data.recipe import SourceRecipe
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.storage import open_store

    same = {
        "source": source,
        "source_recipe": load_stage_recipe(SourceRecipe, "source", recipes, overrides),
        "teachers": teachers,
        "recipe": load_stage_recipe(CurationRecipe, "curation", recipes, overrides),
        "store": open_store(store),
    }
    (read,) = artifacts.read_references(parts.path)
    replies = [stage(part=part, **same) for part in read]
    artifacts.write_references(asked.path, [read, replies])


@contract("curation")
def curation(
    source: str,
    teachers: str,
    recipes: dict,
    overrides: dict,
    store: str,
    asked: dsl.Input[list[dsl.Artifact]],
    curated: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
):
    """Put the parts of all annotators together, verify and split.

    Args:
        source: As in stage source.
        teachers: Comma-separated MODEL@URL, witnesses as KIND:MODEL[@URL], or "simulated" for the toy world.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"curation.min_score": 0.6}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        asked: References to the parts' datasets and the teachers' replies, of each annotator.
        curated: Reference to the curated sets: sft, reward_model, pool, test.
        metrics: How many rows came in, and how many were kept.
        summary: Why the others were dropped, the sets, and how often each teacher answered.
    """
    from globe.curation.curation import merged as stage
    from globe.curation.recipe import CurationRecipe
    from globe.data.recipe import SourceRecipe
    from globe.recipes.load import load_stage_recipe
    from globe.report.stage_tables import write_curation_table
    from globe.run import artifacts
    from globe.storage import open_store

    result = stage(
        source=source,
        parts=[part for one in asked for part in zip(*artifacts.read_references(one.path), strict=True)],
        teachers=teachers,
        recipe_name=recipes["curation"],
        recipe=load_stage_recipe(CurationRecipe, "curation", recipes, overrides),
        source_recipe=load_stage_recipe(SourceRecipe, "source", recipes, overrides),
        store=open_store(store),
    )
    artifacts.write_reference(curated.path, result)
    for name, value in artifacts.finite(result.outcome.figures, ("in", "kept")).items():
        metrics.log_metric(name, value)
    write_curation_table(summary.path, result)
