"""Contract of stage GRPO: reinforce what the rewards agree on."""

from kfp import dsl

from components.contract import contract


@contract("train")
def grpo(
    policy: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipe: str,
    overrides: dict,
    store: str,
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    judge: dsl.Input[dsl.Model] = None,
    reward_url: str = "",
) -> str:
    """Train the policy with group relative policy optimisation.

    Args:
        policy: Manifest of the model to start from.
        curated: Reference to the curated sets; the pool is trained on.
        recipe: Name of a GRPO recipe.
        overrides: Values that replace the recipe's, such as {"grpo.beta": 0.0}.
        store: Folder that keeps the results of all stages.
        checkpoint: Manifest of the trained model.
        metrics: Mean reward of the first and the last ten steps.
        judge: Manifest of the reward model; left out, so is the localizability reward.
        reward_url: Where the reward model is served.

    Returns:
        Path of the trained model's manifest.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.serving.stages import watch
    from globe.settings import load_stage_recipe
    from globe.training.grpo import REWARD_MODEL_NAME
    from globe.training.grpo import grpo as stage
    from globe.training.recipe import GrpoRecipe

    result = stage(
        policy=artifacts.checkpoint(policy.path),
        data=Path(artifacts.read_result(curated.path).outcome.outputs["data"]),
        judge=artifacts.checkpoint(judge.path) if judge else None,
        reward_url=reward_url,
        recipe_name=recipe,
        recipe=load_stage_recipe(GrpoRecipe, "grpo", recipe, overrides),
        guard=watch(REWARD_MODEL_NAME),
        store=Path(store),
    )
    artifacts.write_checkpoint(checkpoint.path, result)
    for name in ("steps", "reward_first", "reward_last"):
        metrics.log_metric(name, result.outcome.figures[name])
    return str(artifacts.manifest_of(result))
