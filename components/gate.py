"""Contract of stage gate: one word that decides what happens to the trained policy."""

from kfp import dsl

from components.contract import contract


@contract("evaluate")
def gate(baselines: dsl.Input[dsl.Artifact], evaluated: dsl.Input[dsl.Artifact], recipe: str, overrides: dict, store: str) -> str:
    """Judge the policy against its baselines.

    The verdict is a word computed here: a number compared in the pipeline's own condition goes wrong silently when it is
    not a number.

    Args:
        baselines: Reference to the baselines' predictions and metrics.
        evaluated: Reference to the policy's.
        recipe: Name of an evaluation recipe; its gate holds the limits.
        overrides: Values that replace the recipe's, such as {"evaluation.gate.threshold_km": "25"}.
        store: Folder that keeps the results of all stages.

    Returns:
        "promote" or "reject".
    """
    from pathlib import Path

    from globe import artifacts
    from globe.evaluation.gate import gate as stage
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.settings import load_stage_recipe

    result = stage(
        baselines=artifacts.read_result(baselines.path),
        evaluation=artifacts.read_result(evaluated.path),
        recipe=load_stage_recipe(EvaluationRecipe, "evaluation", recipe, overrides),
        store=Path(store),
    )
    return result.outcome.outputs["verdict"]
