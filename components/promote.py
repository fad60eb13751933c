"""Contracts of what follows the gate: the policy becomes the promoted one, or the run fails and says why."""

from kfp import dsl

from components.contract import contract


@contract("evaluate")
def promote(policy: dsl.Input[dsl.Model], evaluated: dsl.Input[dsl.Artifact], store: str):
    """Name the policy as the promoted one: `promoted.json` in the store.

    Args:
        policy: Manifest of the trained policy.
        evaluated: Reference to the evaluation that earned it.
        store: Folder that keeps the results of all stages.
    """
    from pathlib import Path

    from globe import artifacts
    from globe.evaluation.promotion import promote as stage

    stage(policy=artifacts.checkpoint(policy.path), evaluation=artifacts.read_result(evaluated.path), store=Path(store))


@contract("evaluate")
def reject(baselines: dsl.Input[dsl.Artifact], evaluated: dsl.Input[dsl.Artifact], recipe: str, overrides: dict):
    """Fail the run: the policy did not pass the gate.

    Args:
        baselines: Reference to the baselines.
        evaluated: Reference to the evaluation.
        recipe: Name of the evaluation recipe.
        overrides: Values that replace the recipe's.
    """
    from globe import artifacts
    from globe.evaluation.promotion import reject as stage
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.settings import load_stage_recipe

    settings = load_stage_recipe(EvaluationRecipe, "evaluation", recipe, overrides)
    stage(artifacts.read_result(baselines.path), artifacts.read_result(evaluated.path), settings)
