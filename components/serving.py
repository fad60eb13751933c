"""Contract of stage serving: the trained policy and its baselines behind HTTP until the run ends."""

from kfp import dsl

from components.contract import contract


@contract("serve")
def serving(
    policy: dsl.Input[dsl.Model],
    start: dsl.Input[dsl.Model],
    base_model: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    evaluation_recipe: str,
    recipe: str,
    overrides: dict,
    store: str,
) -> dict:
    """Serve the models under evaluation, unless exactly this evaluation is finished already.

    Args:
        policy: Manifest of the trained policy.
        start: Manifest of what GRPO started from.
        base_model: Manifest of what everything started from.
        curated: Reference to the curated sets.
        evaluation_recipe: Name of the evaluation recipe.
        recipe: Name of a serving recipe.
        overrides: Values that replace the recipes', such as {"serving.max_num_seqs": 16}.
        store: Folder that keeps the results of all stages.

    Returns:
        Base URL by model name; empty when nobody will ask.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.evaluation.evaluate import find_finished_evaluation, models_under_evaluation
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.serving.recipe import ServingRecipe
    from globe.serving.stages import serve
    from globe.settings import load_stage_recipe

    models = models_under_evaluation(*(artifacts.checkpoint(model.path) for model in (base_model, start, policy)))
    test = Path(artifacts.read_result(curated.path).outcome.outputs["data"]) / "test"
    evaluation = load_stage_recipe(EvaluationRecipe, "evaluation", evaluation_recipe, overrides)
    return serve(
        "serving",
        models,
        load_stage_recipe(ServingRecipe, "serving", recipe, overrides),
        needed=find_finished_evaluation(Path(store), models, test, evaluation) is None,
        reason="the evaluation is finished, nobody will ask",
    )
