"""Stage GRPO: reinforce answers that the rewards score high, over all pictures whose truth is known."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from globe.answer.prompt import PROMPT
from globe.data.shards import dataset_digest, read_dataset
from globe.errors import GlobeError, InputError
from globe.files import write_json
from globe.models.card import Training
from globe.models.checkpoints import Checkpoint, Usage
from globe.rewards import LOCALIZABILITY
from globe.rewards.localizability import Judge
from globe.rewards.told import environment_for, require_usable
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, find_finished, run_stage, stage_key
from globe.training import rows as shapes
from globe.training.adapters import writer
from globe.training.alarms import alarms
from globe.training.completions import COMPLETIONS_FILE
from globe.training.finish import noted, usable
from globe.training.fitted import fitted
from globe.training.further_arguments import require_known_arguments
from globe.training.grpo_arguments import REFUSED_METRIC, grpo_arguments
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.held_out import Files, HeldOut, hold_out, measuring, split_rows
from globe.training.measured import held_out_figures, in_one_line
from globe.training.rollout_server import rollout_server
from globe.training.runs import History, StepCallback, ignored, newest_saved, progress_of, train_once
from globe.training.samples import SAMPLES, Samples, WritePage, no_page
from globe.training.swift import train
from globe.training.trainer_checkpoints import OUTPUT
from globe.training.trainjob.job import Nodes
from globe.training.watch import Watch

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
    several: Nodes | None = None,
    usage: Usage = Usage(),
    on_step: StepCallback = ignored,
    page: WritePage = no_page,
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
        several: The nodes that train in this pod's place; None where it trains itself.
        usage: How the run serves and asks its models, for the manifest.
        on_step: Called for each step that is logged, with the step, the number of steps, and ms-swift's figures.
        page: Writes a page of samples.

    Returns:
        The stage's result; outputs `checkpoint` and `curve` (JSON: one object a step).
    """
    weights = recipe.weights(judged=judge is not None)
    used = replace(usage, prompt=recipe.prompt).over(policy.usage)

    def work(folder: Path, reporter: Reporter) -> Outcome:
        require_known_arguments("rlhf", recipe)
        if judge and not reward_url:
            raise GlobeError("GRPO has a reward model but no URL of its service")
        origins = Counter[tuple[str, str]]()
        held_out = hold_out(read_dataset(data / "pool"), recipe.eval_rows, recipe.seed)
        files = _written(data / "pool", folder / "data", held_out, used.prompt, origins)
        if not files.count:
            raise GlobeError(f"{data / 'pool'}: curation kept no row to train on")
        here = fitted(recipe, gpus)
        arguments = grpo_arguments(here, policy.path, files.train, folder / OUTPUT, weights)
        asked = Judge(reward_url, REWARD_MODEL_NAME, reward_key(), judge.digest) if judge and LOCALIZABILITY in weights else None
        environment = environment_for(asked, recipe.reward_timeout_s, recipe.reward_patience_s) if asked else {}
        if held_out.measured:
            environment |= measuring(files.held_out, recipe.eval_steps, weights)
        samples = Samples(folder / OUTPUT / COMPLETIONS_FILE, folder / SAMPLES, recipe.sample_steps, weights, page)
        shown = progress_of(reporter, "reward", Watch(folder / OUTPUT, samples, reporter, on_step))

        def sampled_and_trained() -> Path:
            if asked:
                require_usable(asked, recipe.reward_timeout_s)
            if several and here.vllm_mode == "server" and here.use_vllm:
                raise InputError("grpo.vllm_mode: server works on one node; on several, choose colocate")
            with rollout_server(here, policy.path, reporter) as engine:

                def both() -> None:
                    engine.require_alive()
                    guard()

                process_environment = {**here.environment, **environment, **engine.environment}
                process_recipe = here.model_copy(update={"environment": process_environment})
                line = {**arguments, **engine.arguments}
                return train("rlhf", line, process_recipe, reporter.log, shown, both, nodes=several)

        told = Training(
            stage="grpo",
            recipe_name=recipe_name,
            recipe=recipe.model_dump(mode="json"),
            question=used.prompt or PROMPT,
            answer_tokens=recipe.max_completion_length,
            data=dataset_digest(data / "pool"),
            rows=files.count,
            origins=origins,
        )
        checkpoint, history = train_once(
            folder,
            base=policy,
            recipe=recipe_name,
            train=sampled_and_trained,
            write=usable(writer(here, policy.path, reporter), policy, told),
            usage=used,
        )
        samples.write_last()
        measured = held_out_figures(history, checkpoint.step, len(held_out.measured))
        more = {"weights": weights, "prompts": files.count} | ({"refused": refused(history)} if asked else {})
        return _outcome(folder, checkpoint, history, recipe.steps_a_rollout, measured, more)

    question = question_of(policy=policy, data=data, judge=judge, recipe_name=recipe_name, recipe=recipe)
    resume: dict[str, Any] = {"scratch": shapes.SCRATCH, "saved": newest_saved, "checked": (OUTPUT,)}
    return run_stage("grpo", store=store, work=work, **resume, **question)


def _written(pool: Path, folder: Path, held_out: HeldOut, prompt: str, origins: Counter[tuple[str, str]]) -> Files:
    """Write the pool's rows for the trainer, and count where their values are from."""
    shape = partial(shapes.prompt_row, prompt=prompt)
    return split_rows(read_dataset(pool), held_out, shape, folder, partial(noted, origins=origins))


def _outcome(
    folder: Path,
    checkpoint: Checkpoint,
    history: History,
    steps_a_rollout: int,
    measured: dict[str, Any],
    more: dict[str, Any],
) -> Outcome:
    """What the stage has made; writes the reward curve.

    Args:
        folder: The stage's folder.
        checkpoint: What is published.
        history: What was logged at each step.
        steps_a_rollout: As in `reward_curve`.
        measured: Figures of the held-out rows.
        more: Further figures.
    """
    steps = max(values["step"] for values in history)
    curve = reward_curve(history, steps, steps_a_rollout)
    write_json(folder / CURVE_FILE, curve)
    first, last = edges(curve)
    figures = {"steps": steps, "reward_first": first, "reward_last": last, "alarms": len(alarms(history))}
    return Outcome(
        figure=f"reward {first:.2f} -> {last:.2f} (first, last {EDGE_STEPS} steps){in_one_line(measured)}",
        outputs={"checkpoint": checkpoint.uri, "curve": str(folder / CURVE_FILE)},
        figures=figures | measured | more,
        show=checkpoint.uri,
    )


def reward_curve(history: History, steps: int, steps_a_rollout: int = 1) -> list[dict[str, Any]]:
    """The mean reward of each step that sampled, and each reward's own.

    Args:
        history: What was logged at each step.
        steps: How many steps the training took.
        steps_a_rollout: For how many steps at most completions are trained on; only the first of these logs their rewards.

    Raises:
        GlobeError: A rollout did not log its reward exactly once.
    """
    curve = [
        {"step": values["step"]}
        | {name: value for name, value in values.items() if name == "reward" or name.startswith("rewards/")}
        for values in history
        if "reward" in values
    ]
    sampled = [point["step"] for point in curve]
    gaps = [after - before for before, after in pairwise([*sampled, steps + 1])]
    if sampled[:1] != [1] or not all(1 <= gap <= steps_a_rollout for gap in gaps):
        raise GlobeError(f"GRPO took {steps} steps and logged the rewards of {len(curve)}; there is no reward curve")
    return curve


def refused(history: History) -> int:
    """How many completions the reward service did not take; they took no part in their groups' comparison."""
    return sum(round(values.get(REFUSED_METRIC, 0)) for values in history)


def edges(curve: list[dict[str, Any]]) -> tuple[float, float]:
    """Mean reward of the first and of the last ten steps."""
    rewards = [point["reward"] for point in curve]
    first, last = rewards[:EDGE_STEPS], rewards[-EDGE_STEPS:]
    return sum(first) / len(first), sum(last) / len(last)
