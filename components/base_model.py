"""Contracts of stages base model (what training starts from) and model (what the evaluation pipeline evaluates)."""

from kfp import dsl

from components.contract import contract


@contract("base_model")
def base_model(base_model: str, recipes: dict, overrides: dict, store: str, checkpoint: dsl.Output[dsl.Model]):
    """Check a given model, or build the demo's tiny one.

    Args:
        base_model: Folder or s3:// URI of a Hugging Face model or of a checkpoint, or "tiny".
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"source.seed": 3}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        checkpoint: Manifest of the model.
    """
    from globe.data.recipe import SourceRecipe
    from globe.evaluation.usage import usage_of_run
    from globe.models.base_model import base_model as stage
    from globe.recipes.load import load_stage_recipe
    from globe.run.artifacts import write_checkpoint
    from globe.storage import fetch, open_store

    seed = load_stage_recipe(SourceRecipe, "source", recipes, overrides).seed
    usage = usage_of_run(recipes, overrides)
    write_checkpoint(checkpoint.path, stage(model=fetch(base_model), seed=seed, store=open_store(store), usage=usage))


@contract("model")
def model(model: str, recipes: dict, overrides: dict, store: str, checkpoint: dsl.Output[dsl.Model], url: str = ""):
    """Check the model that is to be evaluated.

    Args:
        model: Folder or s3:// URI of a Hugging Face model or of a checkpoint, or "tiny".
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"source.seed": 3}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        checkpoint: Manifest of the model; of nothing if it is behind a URL.
        url: Base URL of a server that is up and serves the model.
    """
    from globe.data.recipe import SourceRecipe
    from globe.evaluation.usage import usage_of_run
    from globe.models.base_model import base_model as stage
    from globe.recipes.load import load_stage_recipe
    from globe.run.artifacts import write_checkpoint, write_nothing
    from globe.run.events import skip
    from globe.storage import fetch, open_store

    if url:
        skip("model", f"{url} serves it")
        write_nothing(checkpoint.path)
        return
    seed = load_stage_recipe(SourceRecipe, "source", recipes, overrides).seed
    usage = usage_of_run(recipes, overrides)
    write_checkpoint(checkpoint.path, stage(model=fetch(model), seed=seed, store=open_store(store), usage=usage, stage="model"))
