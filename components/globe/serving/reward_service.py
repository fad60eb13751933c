"""Stage reward service: the reward model behind HTTP for as long as GRPO asks it."""

from pathlib import Path

from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Place
from globe.run.events import emit
from globe.serving.recipe import ServingRecipe
from globe.serving.servers import find_launcher, serve
from globe.training.grpo import REWARD_MODEL_NAME, find_finished_grpo
from globe.training.grpo_recipe import GrpoRecipe

STAGE = "reward_service"


def reward_service(
    *,
    judge: Checkpoint | None,
    policy: Checkpoint,
    data: Path,
    recipe_name: str,
    recipe: GrpoRecipe,
    serving: ServingRecipe,
    place: Place,
    store: Path,
) -> str:
    """Serve the reward model, unless GRPO over exactly these inputs is finished already.

    Args:
        judge: The reward model; None where there is none.
        policy: What GRPO starts from.
        data: Curated folder.
        recipe_name: Name of GRPO's recipe.
        recipe: GRPO's recipe.
        serving: How it is served.
        place: Where.
        store: Where stages keep their results.

    Returns:
        Base URL of the service, empty when nobody will ask it.
    """
    question = {"policy": policy, "data": data, "judge": judge, "recipe_name": recipe_name, "recipe": recipe}
    finished = judge and find_finished_grpo(store, **question)
    urls = serve(
        STAGE,
        {REWARD_MODEL_NAME: judge} if judge else {},
        serving,
        place,
        needed=judge is not None and finished is None,
        reason="GRPO is finished, nobody will ask" if judge else "no reward model",
        wait=False,  # the trainer needs half a minute to load, and waits for the service before its first question
    )
    return urls.get(REWARD_MODEL_NAME, "")


def stop_reward_service(place: Place) -> None:
    """End the reward service, when GRPO has no more questions."""
    if find_launcher(place).stop(only=REWARD_MODEL_NAME):
        emit(STAGE, "note", figure="served its purpose, ended")
