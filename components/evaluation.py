"""Contract of stage evaluation: ask about every held-out picture, and write figures and a report."""

from kfp import dsl

from components.contract import contract


@contract("evaluation")
def evaluation(
    policy: dsl.Input[dsl.Model],
    test: dsl.Input[dsl.Dataset],
    url: str,
    titles: dict,
    recipes: dict,
    overrides: dict,
    store: str,
    evaluated: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    report: dsl.Output[dsl.HTML],
    model_name: str = "",
    run: str = "",
):
    """Ask the served policy where the held-out pictures were taken, and score the answers.

    Args:
        policy: Manifest of the policy; of nothing if it is behind a URL that the run was given.
        test: Reference to the held-out pictures.
        url: Where it is served; empty if the evaluation has already finished.
        titles: What the run calls its models.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"evaluation.max_tokens": 512}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        evaluated: Reference to the predictions and metrics.
        metrics: The policy's accuracy in percent, by distance.
        summary: The figures as a table.
        report: The policy's report.
        model_name: What a server that the run was given calls the model; empty for a policy that the run serves.
        run: Name of the run: what such a server answers counts for this run only, since it may serve another model tomorrow.
    """
    from functools import partial
    from pathlib import Path

    from globe.evaluation.evaluation import evaluation as stage
    from globe.evaluation.markdown import figures_table
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.evaluation.reports import write_framed_report
    from globe.evaluation.titles import POLICY
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.tracked import tell_evaluation, tracked
    from globe.serving.recipe import ServingRecipe
    from globe.serving.servers import run_key
    from globe.storage import open_store

    pictures = artifacts.test_set(test.path)
    with tracked("evaluation") as record:
        result = stage(
            policy=artifacts.optional_checkpoint(policy.path),
            url=url,
            test=pictures,
            recipe=load_stage_recipe(EvaluationRecipe, "evaluation", recipes, overrides),
            serving=load_stage_recipe(ServingRecipe, "serving", recipes, overrides),
            store=open_store(store),
            model_name=model_name,
            run=run,
            key=partial(run_key, POLICY, store),
        )
        figures = result.outcome.figures[POLICY]
        tell_evaluation(record, result, figures, titles[POLICY])
    artifacts.write_reference(evaluated.path, result)
    for distance_km, percent in artifacts.finite(figures["accuracy"]).items():
        metrics.log_metric(f"accuracy_{distance_km}km_percent", percent)
    Path(summary.path).write_text(figures_table(figures), encoding="utf-8")
    write_framed_report(Path(report.path), titles[POLICY], figures, result.folder / POLICY, pictures)
