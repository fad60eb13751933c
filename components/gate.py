"""Contract of stage gate: the verdict that decides what happens to the policy."""

from typing import NamedTuple

from kfp import dsl

from components.contract import contract


@contract("gate")
def gate(
    evaluated: dsl.Input[dsl.Artifact],
    titles: dict,
    recipes: dict,
    overrides: dict,
    store: str,
    run: str,
    summary: dsl.Output[dsl.Markdown],
    baselines: dsl.Input[dsl.Artifact] = None,
    baseline: str = "",
    promotes: bool = True,
    result: str = "",
    cluster: dict = {},  # noqa: B006 (KFP's way to give a dict parameter a default)
) -> NamedTuple("Verdict", [("verdict", str), ("decision", str), ("reasons", str), ("promoted", str)]):
    """Judge the policy against its baselines and, if it may be promoted, against the promoted model.

    The decision is a word: if the pipeline's own condition compared figures, a NaN among them would go wrong silently.

    Args:
        evaluated: Reference to the policy's predictions and metrics.
        titles: What the run calls its models.
        recipes: Name of each stage's recipe; the evaluation recipe's gate holds the rule.
        overrides: Values that replace recipes', such as {"evaluation.gate.threshold_km": "25"}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        run: Name of the run, for the record.
        summary: Verdict and reasons, for the run's page.
        baselines: Reference to the baselines' predictions and metrics.
        baseline: Without `baselines`, the folder of an earlier evaluation, or "promoted" for the promoted model's.
        promotes: Whether the run promotes a policy that passes.
        result: Path or s3:// URI to write figures, verdict and reasons to as JSON; empty for none.
        cluster: What the profile says about the cluster, where a run's last task tells the verdict; empty on a laptop.

    Returns:
        verdict: "promote", "reject" or "inconclusive". decision: what follows from it by the recipe, "promote" or "reject".
        reasons: why. promoted: digest of the model that is promoted meanwhile.
    """
    from pathlib import Path

    from globe.evaluation.gate import gate as stage
    from globe.evaluation.gate import publish
    from globe.evaluation.markdown import verdict_text
    from globe.evaluation.promote import find_baseline
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.evaluation.titles import POLICY
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.tracked import tell_verdict, tracked
    from globe.run.verdicts import write_verdict
    from globe.storage import open_store

    against = artifacts.read_result(baselines.path) if baselines else find_baseline(baseline, open_store(store))
    evaluation = artifacts.read_result(evaluated.path)
    recipe = load_stage_recipe(EvaluationRecipe, "evaluation", recipes, overrides)
    with tracked("gate") as record:
        judged = stage(
            baselines=against, evaluation=evaluation, titles=titles, recipe=recipe, store=open_store(store), promotes=promotes
        )
        tell_verdict(record, judged)
    Path(summary.path).write_text(verdict_text(judged.outcome.figures), encoding="utf-8")
    if cluster:
        write_verdict(store, run, judged.outcome.figures, evaluation.outcome.figures[POLICY])
    if result:
        publish(result, evaluation, judged, titles, run)
    said = judged.outcome.outputs
    return (said["verdict"], said["decision"], said["reasons"], said["promoted"])
