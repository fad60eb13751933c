"""The table of stages, one row each, in the order in which people see them: all that is known of a stage except its work.

Everything else that needs to know about a stage reads its row: contracts (image), the check before a run (recipes, what may be
given, GPUs), placement (title, size, GPUs), the live view and `--from` (names and order). The code that decides a stage's result
is not listed here: it is read from the imports (`globe.run.code`).
"""

from dataclasses import dataclass

from pydantic import BaseModel

from globe.curation.recipe import CurationRecipe
from globe.data.recipe import SourceRecipe
from globe.evaluation.recipe import EvaluationRecipe
from globe.run.cluster import Size
from globe.serving.recipe import ServingRecipe
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe, TrainRecipe

HOUR_S = 3600
SMALL = Size(cpu="250m", memory="1Gi", deadline_s=HOUR_S, scratch="100Gi")
CONTROL = Size(cpu="250m", memory="1Gi", deadline_s=2 * HOUR_S, scratch="100Gi")
ENDING = CONTROL.model_copy(update={"retries": 3})
"""Ends servers, which can be done again, and must be if the cluster's API is away for a while."""
MODEL = Size(cpu="2", memory="4Gi", retries=2)
HASHING = Size(cpu="2", memory="4Gi", deadline_s=4 * HOUR_S)
"""Of a task that hashes a model."""
TRAINING = Size(cpu="64", memory="800Gi", shm="128Gi", retries=3, scratch="2Ti")


@dataclass(frozen=True)
class Stage:
    """A row of the table."""

    name: str
    """As in the pipeline, in recipes, in events and in the store."""
    image: str
    """Folder in images/."""
    size: Size
    """What its pod gets on a cluster, unless the profile says otherwise."""
    title: str = ""
    """What the KFP UI calls it; the component's name when empty."""
    recipe: type[BaseModel] | None = None
    """Class of its recipes, which are in `recipes/NAME/`."""
    can_be_given: bool = False
    """Whether a run may be given its result (`start_from`) instead of running it."""
    gpus: str = ""
    """Whose GPUs its pod gets; empty for none. It then has an input `gpus`, filled by the pipeline's parameter `{gpus}_gpus`."""
    shown: bool = True
    """Whether people see it; a task that only passes something on is not worth a line."""

    @property
    def trains(self) -> bool:
        """Whether it trains a model."""
        return self.recipe is not None and issubclass(self.recipe, TrainRecipe)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("validate", "evaluate", SMALL, "Check inputs"),
        Stage("source", "curation", Size(cpu="4", memory="8Gi", retries=2), "Source", SourceRecipe),
        Stage("base_model", "train", MODEL, "Base model"),
        Stage("model", "train", MODEL, "Model"),
        Stage("annotate", "curation", Size(cpu="4", memory="8Gi", retries=2), "Annotate"),
        Stage("curation", "curation", Size(cpu="4", memory="16Gi", retries=2), "Curation", CurationRecipe, can_be_given=True),
        Stage("sft", "train", TRAINING, "SFT", SftRecipe, can_be_given=True, gpus="sft"),
        Stage("baselines", "train", Size(cpu="8", memory="96Gi", shm="16Gi", retries=1), "Baselines", gpus="serving"),
        Stage("reward_model", "train", TRAINING, "Reward model", RewardModelRecipe, can_be_given=True, gpus="reward_model"),
        Stage("reward_service", "evaluate", CONTROL, "Reward service"),
        Stage(
            "grpo",
            "train",
            TRAINING.model_copy(update={"memory": "1200Gi", "shm": "256Gi"}),
            "GRPO",
            GrpoRecipe,
            can_be_given=True,
            gpus="grpo",
        ),
        Stage("serving", "evaluate", CONTROL, "Serving", ServingRecipe),
        Stage("evaluation", "evaluate", Size(cpu="4", memory="8Gi", retries=2), "Evaluation", EvaluationRecipe),
        Stage("gate", "evaluate", SMALL, "Gate"),
        Stage("promote", "evaluate", CONTROL, "Promote"),
        Stage("teardown", "evaluate", ENDING, "End of the run"),
        Stage("given", "train", HASHING, "Given, or switched off", shown=False),
        Stage("join", "evaluate", SMALL, "Pass on", shown=False),
        Stage("cut", "curation", Size(cpu="2", memory="8Gi", retries=2), "Cut into parts", shown=False),
        Stage("verdict", "evaluate", CONTROL, "Verdict", shown=False),
        Stage("stop_server", "evaluate", ENDING, "End the reward service", shown=False),
    )
}
RECIPES = {stage.name: stage.recipe for stage in STAGES.values() if stage.recipe}
"""Class of each stage's recipes."""
CAN_BE_GIVEN = tuple(stage.name for stage in STAGES.values() if stage.can_be_given)
GPU_STAGES = tuple(dict.fromkeys(stage.gpus for stage in STAGES.values() if stage.gpus))
"""Stages with their own number of GPUs and node labels: a parameter `NAME_gpus` and a key of `node_selectors`."""
