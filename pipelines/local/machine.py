"""What one machine must have for all stages of a run."""

from collections.abc import Sequence

from globe.recipes.load import load_stage_recipe
from globe.rewards import LOCALIZABILITY
from globe.run.preflight import OFF, RUN, Plan, Request
from globe.serving.recipe import ServingRecipe
from globe.serving.room import require_room
from globe.training.grpo_recipe import GrpoRecipe


def check_machine(request: Request, plan: Plan, gpus: Sequence[str]) -> None:
    """Check that a run's GRPO and its reward service have GPUs of their own.

    Args:
        request: What is asked for; checked already.
        plan: Which stages run.
        gpus: The machine's GPUs.

    Raises:
        InputError: They would share one.
    """
    if plan.states.get("grpo") != RUN or plan.states.get("reward_model", OFF) == OFF:
        return
    recipe = load_stage_recipe(GrpoRecipe, "grpo", request.recipes, request.overrides)
    serving = load_stage_recipe(ServingRecipe, "serving", request.recipes, request.overrides)
    if LOCALIZABILITY in recipe.rewards:
        require_room(recipe, gpus, promised=request.gpus.get("grpo", 0), servers=serving.tensor_parallel_size)
