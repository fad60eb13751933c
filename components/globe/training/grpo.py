"""Stage GRPO: reinforce answers that the rewards score high, over all pictures whose truth is known."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from globe.data.shards import dataset_digest, read_dataset
from globe.errors import GlobeError
from globe.files import write_json
from globe.models.checkpoints import Checkpoint, Usage
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, find_finished, run_stage, stage_key
from globe.training import rows as shapes
from globe.training.adapters import writer
from globe.training.fitted import fitted
from globe.training.further_arguments import require_known_arguments
from globe.training.grpo_arguments import grpo_arguments
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.runs import History, StepCallback, ignored, newest_saved, progress_of, train_once
from globe.training.swift import train
from globe.training.trainer_checkpoints import OUTPUT

CURVE_FILE = "rewards.json"
REWARD_MODEL_NAME = "reward_model"
"""Name under which the reward service serves its model."""
EDGE_STEPS = 10
"""How many of the first and of the last steps the stage's figure compares."""


def question_of(
    *, policy: Checkpoint, data: Path, judge: Checkpoint | None, recipe_name: str, recipe: GrpoRecipe
) -> dict[str, Any]:
    """What decides this stage's result: the `inputs`, `settings` and `code` of its address."""
    return {
        "inputs": {
            "policy": policy.digest,
            "pool": dataset_digest(data / "pool"),
            "reward_model": judge.digest if judge else "",
        },
        "settings": {
            "recipe_name": recipe_name,
            "recipe": recipe.model_dump(),
            "weights": recipe.weights(judged=judge is not None),
            "prompt": recipe.prompt or policy.prompt,
        },
        "code": (__name__,),
    }


def find_finished_grpo(store: Path, **question: Any) -> StageResult | None:
    """The result of an earlier call with the same question, so that no reward service need be started for it."""
    return find_finished(store, "grpo", stage_key("grpo", **question_of(**question)))


def grpo(
    *,
    policy: Checkpoint,
    data: Path,
    judge: Checkpoint | None,
    reward_url: str,
    recipe_name: str,
    recipe: GrpoRecipe,
    store: Path,
    guard: Callable[[], None] = lambda: None,
    reward_key: Callable[[], str] = lambda: "",
    gpus: int = 0,
    usage: Usage = Usage(),
    on_step: StepCallback = ignored,
) -> StageResult:
    """Train a policy with group relative policy optimisation.

    Args:
        policy: Checkpoint to start from.
        data: Curation's output folder; its `pool` is trained on.
        judge: Checkpoint of the reward model; None to leave the localizability reward out.
        reward_url: Where the reward model is served; empty without one.
        recipe_name: Name of the recipe, for the manifest.
        recipe: The recipe.
        store: Where stages keep their results.
        guard: Called again and again while training; raises when the reward service has ended.
        reward_key: Gives the key of the reward service; asked only if there is something to train.
        gpus: GPUs that are there, which the recipe is fitted to; 0 takes it as it is.
        usage: How the run serves and asks its models, for the manifest.
        on_step: Called for each step that is logged, with the step, the number of steps, and ms-swift's figures.

    Returns:
        The stage's result; outputs `checkpoint` and `curve` (JSON: one object a step).
    """
    weights = recipe.weights(judged=judge is not None)
    used = replace(usage, prompt=recipe.prompt).over(policy.usage)

    def work(folder: Path, reporter: Reporter) -> Outcome:
        require_known_arguments("rlhf", recipe)
        if judge and not reward_url:
            raise GlobeError("GRPO has a reward model but no URL of its service")
        pool = ((row, partial(shapes.prompt_row, prompt=used.prompt)) for row in read_dataset(data / "pool"))
        count = shapes.export(pool, folder / "data" / "train.jsonl", folder / "data" / "pictures")
        here = fitted(recipe, gpus)
        arguments = grpo_arguments(here, policy.path, folder / "data" / "train.jsonl", folder / OUTPUT, weights)
        environment = {"GLOBE_REWARD_URL": reward_url, "GLOBE_REWARD_MODEL": REWARD_MODEL_NAME}
        environment |= {"GLOBE_REWARD_TIMEOUT_S": str(recipe.reward_timeout_s)}
        if judge:
            environment |= {"GLOBE_REWARD_KEY": reward_key(), "GLOBE_REWARD_DIGEST": judge.digest}
        process_recipe = here.model_copy(update={"environment": here.environment | environment})

        shown = progress_of(reporter, "reward", on_step)
        checkpoint, history = train_once(
            folder,
            base=policy,
            recipe=recipe_name,
            train=lambda: train("rlhf", arguments, process_recipe, reporter.log, shown, guard),
            write=writer(here, policy.path, reporter),
            usage=used,
        )
        curve = reward_curve(history, checkpoint.step)
        write_json(folder / CURVE_FILE, curve)
        first, last = edges(curve)
        return Outcome(
            figure=f"reward {first:.2f} -> {last:.2f} (first, last {EDGE_STEPS} steps)",
            outputs={"checkpoint": checkpoint.uri, "curve": str(folder / CURVE_FILE)},
            figures={"prompts": count, "steps": checkpoint.step, "reward_first": first, "reward_last": last, "weights": weights},
            show=checkpoint.uri,
        )

    question = question_of(policy=policy, data=data, judge=judge, recipe_name=recipe_name, recipe=recipe)
    resume: dict[str, Any] = {"scratch": shapes.SCRATCH, "saved": newest_saved, "checked": (OUTPUT,)}
    return run_stage("grpo", store=store, work=work, **resume, **question)


def reward_curve(history: History, steps: int) -> list[dict[str, Any]]:
    """The mean reward of each step, and each reward's own.

    Args:
        history: What was logged at each step.
        steps: How many steps the training took.

    Raises:
        GlobeError: A step did not log its reward exactly once.
    """
    curve = [
        {"step": values["step"]}
        | {name: value for name, value in values.items() if name == "reward" or name.startswith("rewards/")}
        for values in history
        if "reward" in values
    ]
    if [point["step"] for point in curve] != list(range(1, steps + 1)):
        raise GlobeError(f"GRPO took {steps} steps and logged the rewards of {len(curve)}; there is no reward curve")
    return curve


def edges(curve: list[dict[str, Any]]) -> tuple[float, float]:
    """Mean reward of the first and of the last ten steps."""
    rewards = [point["reward"] for point in curve]
    first, last = rewards[:EDGE_STEPS], rewards[-EDGE_STEPS:]
    return sum(first) / len(first), sum(last) / len(last)
