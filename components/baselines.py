"""Contract of stage baselines: ask the models that training started from the same questions."""

from kfp import dsl

from components.contract import contract


@contract("baselines")
def baselines(
    base_model: dsl.Input[dsl.Model],
    start: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: str,
    nodes: dict,
    tolerations: list,
    titles: dict,
    evaluated: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
):
    """Evaluate the base model and, where SFT ran, its result.

    Args:
        base_model: Manifest of the model that everything starts from.
        start: Manifest of the model that GRPO starts from.
        curated: Reference to the curated sets.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"evaluation.max_tokens": 512}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs that the stage is promised, in digits: a backend reads a pod's limits from texts only.
        nodes: Labels of the nodes that may run it; read by placement.
        tolerations: Taints that its pod tolerates; read by placement.
        titles: What the run calls its models.
        evaluated: Reference to the predictions and metrics.
        metrics: The GPUs that the stage was promised and sees.
        summary: Accuracy of each model by distance, and the GPUs.
    """
    from globe.evaluation.baselines import baselines as stage
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.recipes.load import load_stage_recipe
    from globe.report.stage_tables import write_baselines_table
    from globe.run import artifacts
    from globe.run.gpus import require_gpus
    from globe.serving.recipe import ServingRecipe
    from globe.storage import open_store

    had = require_gpus("baselines", int(gpus))
    result = stage(
        base=artifacts.checkpoint(base_model.path),
        start=artifacts.checkpoint(start.path),
        test=artifacts.test_set(curated.path),
        recipe=load_stage_recipe(EvaluationRecipe, "evaluation", recipes, overrides),
        max_pixels=load_stage_recipe(ServingRecipe, "serving", recipes, overrides).max_pixels,
        store=open_store(store),
    )
    artifacts.write_reference(evaluated.path, result)
    for name, value in artifacts.finite(had.figures).items():
        metrics.log_metric(name, value)
    write_baselines_table(summary.path, result, had, titles)
