"""Contract of stage serving: the trained policy behind HTTP until the run ends."""

from kfp import dsl

from components.contract import contract


@contract("serve")
def serving(
    policy: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    evaluation_recipe: str,
    recipe: str,
    overrides: dict,
    store: str,
) -> str:
    """Serve the policy, unless exactly this evaluation of it is finished already.

    Args:
        policy: Manifest of the trained policy.
        curated: Reference to the curated sets.
        evaluation_recipe: Name of the evaluation recipe.
        recipe: Name of a serving recipe.
        overrides: Values that replace the recipes', such as {"serving.max_num_seqs": 16}.
        store: Folder that keeps the results of all stages.

    Returns:
        Base URL of the server, empty when nobody will ask.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.evaluation.evaluate import POLICY, find_finished_evaluation
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.serving.recipe import ServingRecipe
    from globe.serving.stages import serve
    from globe.settings import load_stage_recipe

    model = artifacts.checkpoint(policy.path)
    test = Path(artifacts.read_result(curated.path).outcome.outputs["data"]) / "test"
    evaluation = load_stage_recipe(EvaluationRecipe, "evaluation", evaluation_recipe, overrides)
    urls = serve(
        "serving",
        {POLICY: model},
        load_stage_recipe(ServingRecipe, "serving", recipe, overrides),
        needed=find_finished_evaluation(Path(store), model, test, evaluation) is None,
        reason="the evaluation is finished, nobody will ask",
    )
    return urls.get(POLICY, "")
