"""Contract of stage evaluation: every held-out picture, one set of figures and a report."""

from kfp import dsl

from components.contract import contract


@contract("evaluate")
def evaluation(
    policy: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    url: str,
    recipe: str,
    overrides: dict,
    store: str,
    evaluated: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
):
    """Ask the served policy where the held-out pictures were taken, and score the answers.

    Args:
        policy: Manifest of the trained policy.
        curated: Reference to the curated sets.
        url: Where it is served.
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
    from globe.evaluation.evaluate import POLICY, REPORT_FILE, evaluate_policy
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.settings import load_stage_recipe

    result = evaluate_policy(
        policy=artifacts.checkpoint(policy.path),
        url=url,
        test=Path(artifacts.read_result(curated.path).outcome.outputs["data"]) / "test",
        recipe=load_stage_recipe(EvaluationRecipe, "evaluation", recipe, overrides),
        store=Path(store),
    )
    artifacts.write_reference(evaluated.path, result)
    for distance_km, percent in result.outcome.figures[POLICY]["accuracy"].items():
        metrics.log_metric(f"accuracy_{distance_km}km_percent", percent)
    shutil.copyfile(result.folder / POLICY / REPORT_FILE, report.path)
