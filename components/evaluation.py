"""Contract of stage evaluation: every held-out picture, every model, one set of figures and a report."""

from kfp import dsl

from components.contract import contract


@contract("evaluate")
def evaluation(
    policy: dsl.Input[dsl.Model],
    start: dsl.Input[dsl.Model],
    base_model: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    urls: dict,
    recipe: str,
    overrides: dict,
    store: str,
    evaluated: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
):
    """Ask the served models where the held-out pictures were taken, and score the answers.

    Args:
        policy: Manifest of the trained policy.
        start: Manifest of what GRPO started from.
        base_model: Manifest of what everything started from.
        curated: Reference to the curated sets.
        urls: Base URL by model name.
        recipe: Name of an evaluation recipe.
        overrides: Values that replace the recipe's, such as {"evaluation.max_tokens": 512}.
        store: Folder that keeps the results of all stages.
        evaluated: Reference to the predictions and metrics.
        metrics: Accuracy in percent by distance, of the trained policy.
        report: The policy's report.
    """
    import shutil
    from pathlib import Path

    from globe import artifacts
    from globe.evaluation.evaluate import REPORT_FILE, evaluate_models, models_under_evaluation
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.settings import load_stage_recipe

    result = evaluate_models(
        models=models_under_evaluation(*(artifacts.checkpoint(model.path) for model in (base_model, start, policy))),
        urls=urls,
        test=Path(artifacts.read_result(curated.path).outcome.outputs["data"]) / "test",
        recipe=load_stage_recipe(EvaluationRecipe, "evaluation", recipe, overrides),
        store=Path(store),
    )
    artifacts.write_reference(evaluated.path, result)
    candidate = result.outcome.outputs["candidate"]
    for distance_km, percent in result.outcome.figures[candidate]["accuracy"].items():
        metrics.log_metric(f"accuracy_{distance_km}km_percent", percent)
    shutil.copyfile(result.folder / candidate / REPORT_FILE, report.path)
