"""Contract of stage baselines: what training started from, asked the same questions."""

from kfp import dsl

from components.contract import contract


@contract("train")
def baselines(
    base_model: dsl.Input[dsl.Model],
    start: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipe: str,
    overrides: dict,
    store: str,
    evaluated: dsl.Output[dsl.Artifact],
):
    """Evaluate the base model and, where SFT ran, its result.

    Args:
        base_model: Manifest of what everything started from.
        start: Manifest of what GRPO starts from.
        curated: Reference to the curated sets.
        recipe: Name of an evaluation recipe.
        overrides: Values that replace the recipe's, such as {"evaluation.max_tokens": 512}.
        store: Folder that keeps the results of all stages.
        evaluated: Reference to the predictions and metrics.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.evaluation.baselines import evaluate_baselines
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.settings import load_stage_recipe

    result = evaluate_baselines(
        base=artifacts.checkpoint(base_model.path),
        start=artifacts.checkpoint(start.path),
        test=Path(artifacts.read_result(curated.path).outcome.outputs["data"]) / "test",
        recipe=load_stage_recipe(EvaluationRecipe, "evaluation", recipe, overrides),
        store=Path(store),
    )
    artifacts.write_reference(evaluated.path, result)
