"""Contract of stage reward service: the reward model behind HTTP for as long as GRPO asks it."""

from kfp import dsl

from components.contract import contract


@contract("serve")
def reward_service(
    judge: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    grpo_recipe: str,
    recipe: str,
    overrides: dict,
    store: str,
) -> str:
    """Serve the reward model, unless GRPO over exactly these inputs is finished already.

    Args:
        judge: Manifest of the reward model.
        policy: Manifest of the model GRPO will start from.
        curated: Reference to the curated sets.
        grpo_recipe: Name of the GRPO recipe.
        recipe: Name of a serving recipe.
        overrides: Values that replace the recipes', such as {"serving.max_num_seqs": 16}.
        store: Folder that keeps the results of all stages.

    Returns:
        Base URL of the service, empty when nobody will ask it.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.serving.recipe import ServingRecipe
    from globe.serving.stages import serve
    from globe.settings import load_stage_recipe
    from globe.training.grpo import REWARD_MODEL_NAME, find_finished_grpo
    from globe.training.recipe import GrpoRecipe

    finished = find_finished_grpo(
        Path(store),
        policy=artifacts.checkpoint(policy.path),
        data=Path(artifacts.read_result(curated.path).outcome.outputs["data"]),
        judge=artifacts.checkpoint(judge.path),
        recipe_name=grpo_recipe,
        recipe=load_stage_recipe(GrpoRecipe, "grpo", grpo_recipe, overrides),
    )
    urls = serve(
        "reward_service",
        {REWARD_MODEL_NAME: artifacts.checkpoint(judge.path)},
        load_stage_recipe(ServingRecipe, "serving", recipe, overrides),
        needed=finished is None,
        reason="GRPO is finished, nobody will ask",
        wait=False,  # the trainer needs half a minute to load, and waits for the service before its first question
    )
    return urls.get(REWARD_MODEL_NAME, "")
