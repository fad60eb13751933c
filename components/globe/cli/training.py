"""`globe sft`, `globe reward-model` and `globe grpo`: run a training stage by hand, as the pipeline does."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from globe.cli.options import JsonFlag, Overrides, some_path
from globe.console import emit, to_json

Recipe = Annotated[str, typer.Option(help="Name of a recipe, or the path of a YAML file.")]
Data = Annotated[str, typer.Option(metavar="URI", help="Folder that curation wrote, or its s3:// URI.")]
Model = Annotated[str, typer.Option(metavar="URI", help='Folder or s3:// URI of a model or checkpoint; "tiny": the demo\'s.')]
Out = Annotated[str, typer.Option(metavar="URI", help="Folder or s3:// prefix; the checkpoint will lie in OUT/checkpoint.")]
Gpus = Annotated[int, typer.Option(min=0, help="GPUs to fit the recipe to [those that it was written for].")]
GpuMemory = Annotated[float, typer.Option(min=0, metavar="GB", help="Memory of one, as its name says: 24, 40, 80.")]
PlanFlag = Annotated[
    bool, typer.Option("--plan", help="Only say what it would take, and whether it fits; needs no data, model or out.")
]


def _on_rows(stage: str, what: str) -> Callable[..., None]:
    """The command of a training that needs nothing but a model and rows.

    Args:
        stage: The stage, whose name is the command's.
        what: What it does, for the help.
    """

    def command(
        recipe: Recipe,
        data: Data = "",
        model: Model = "",
        out: Out = "",
        settings: Overrides = None,
        gpus: Gpus = 0,
        gpu_memory_gb: GpuMemory = 0.0,
        plan: PlanFlag = False,
        as_json: JsonFlag = False,
    ) -> None:
        from globe.training.by_hand import ON_ROWS

        asked: dict[str, Any] = {"recipe": recipe, "data": data, "model": model, "out": out, "gpus": gpus}
        if not _planned(stage, settings, as_json, plan, gpu_memory_gb, asked):
            _run(ON_ROWS[stage], settings, as_json, **asked)

    command.__name__ = stage
    command.__doc__ = f"{what} If stopped, the same command resumes from the last checkpoint."
    return command


sft = _on_rows("sft", "Fine-tune a model on curated rows.")
reward_model = _on_rows("reward_model", "Train the judge of localizability.")


def grpo(
    recipe: Recipe,
    data: Data = "",
    model: Model = "",
    out: Out = "",
    judge: Annotated[str, typer.Option("--reward-model", metavar="URI", help="Checkpoint of the reward model.")] = "",
    reward_url: Annotated[
        str, typer.Option(help="Where it is served: `globe serve CHECKPOINT --name reward_model --bare`.")
    ] = "",
    settings: Overrides = None,
    gpus: Gpus = 0,
    gpu_memory_gb: GpuMemory = 0.0,
    plan: PlanFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Reinforce a policy with the recipe's rewards. If stopped, the same command resumes from the last checkpoint."""
    from globe.report.samples_page import write_samples_page
    from globe.training.by_hand import grpo_by_hand

    asked: dict[str, Any] = {"recipe": recipe, "data": data, "model": model, "out": out, "gpus": gpus}
    if _planned("grpo", settings, as_json, plan, gpu_memory_gb, asked, reward_url):
        return
    reward_key = ""
    if reward_url:
        from globe.asking.client import find_model
        from globe.keys import SERVER_KEY, key_for
        from globe.training.grpo import REWARD_MODEL_NAME

        find_model(reward_url, REWARD_MODEL_NAME)  # else training would wait half an hour for a server that never comes
        reward_key = key_for(reward_url, SERVER_KEY)
        _require_room(reward_url, recipe, settings, gpus)
    train = partial(grpo_by_hand, page=write_samples_page)
    _run(train, settings, as_json, **asked, judge=judge, reward_url=reward_url, reward_key=reward_key)


def _require_room(reward_url: str, recipe: str, settings: list[str] | None, promised: int) -> None:
    """A reward service of this machine has a GPU; whoever names GPUs in CUDA_VISIBLE_DEVICES has seen to that."""
    from urllib.parse import urlsplit

    from globe.keys import THIS_MACHINE
    from globe.recipes.load import load_recipe, parse_overrides
    from globe.run.gpus import VISIBLE_VARIABLE, gpus_here
    from globe.serving.room import require_room
    from globe.training.grpo_recipe import GrpoRecipe

    if urlsplit(reward_url).hostname in THIS_MACHINE and VISIBLE_VARIABLE not in os.environ:
        loaded = load_recipe(GrpoRecipe, "grpo", recipe, parse_overrides(settings or []))
        require_room(loaded, gpus_here(), promised=promised)


def _planned(
    stage: str,
    settings: list[str] | None,
    as_json: bool,
    only: bool,
    gpu_memory_gb: float,
    asked: dict[str, Any],
    reward_url: str = "",
) -> bool:
    """Plan the training if that is asked for, or if the GPUs are said that it has to fit; whether that was all."""
    if not (only or asked["gpus"] or gpu_memory_gb):
        return False
    from globe.errors import InputError
    from globe.recipes.load import parse_overrides
    from globe.training.plan_by_hand import plan_by_hand
    from globe.training.plan_table import plan_lines

    try:
        if not math.isfinite(gpu_memory_gb):
            raise InputError(f"--gpu-memory-gb {gpu_memory_gb}: give the GB of a card's name, such as 80")
        if reward_url:
            _require_room(reward_url, asked["recipe"], settings, asked["gpus"])
        given = asked | {"overrides": parse_overrides(settings or []), "gpu_memory_gb": gpu_memory_gb}
        plan, document = plan_by_hand(stage, **given, serving=_servers())
    except InputError as error:
        if only and as_json:
            emit([to_json({"stage": stage, "recipe": asked["recipe"], "fits": False, "reasons": [str(error)]})])
        raise
    if only:
        emit([to_json(document)] if as_json else plan_lines(plan))
    if not plan.fits:
        raise InputError(f"{stage} with recipe {asked['recipe']} does not fit: {'; '.join(plan.reasons)}")
    return only


def _servers() -> dict[str, tuple[str, int]]:
    """By architecture, the recipe with which its models are served unless somebody says otherwise, and its max_model_len."""
    from globe.recipes.load import load_recipe
    from globe.serving.recipe import ServingRecipe

    usual = {"qwen2_5_vl": "gpu", "internvl": "globe-internvl3-8b"}
    return {kind: (name, load_recipe(ServingRecipe, "serving", name).max_model_len) for kind, name in usual.items()}


def _run(train: Callable[..., dict[str, Any]], settings: list[str] | None, as_json: bool, **inputs: Any) -> None:
    from globe.recipes.load import parse_overrides

    made = train(overrides=parse_overrides(settings or []), **inputs)
    figure = f"{'found' if made['reused'] else 'trained'}: {made['steps']} steps"
    emit([to_json(made)] if as_json else [figure, f"checkpoint  {made['checkpoint']}"])


class Trainings(StrEnum):
    """Trainings that ms-swift is given rows for, as the commands are named."""

    SFT = "sft"
    REWARD_MODEL = "reward-model"
    GRPO = "grpo"


def rows(
    data: Data,
    stage: Annotated[Trainings, typer.Option(help="The training that they are for.")],
    out: Annotated[Path, typer.Option(parser=some_path, metavar="FOLDER", help="Folder for train.jsonl and the pictures.")],
    prompt: Annotated[
        Path | None, typer.Option(parser=some_path, metavar="FILE", help="Text to ask with [the default prompt].")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a curated set as files that ms-swift reads."""
    from globe.evaluation.usage import read_prompt
    from globe.files import output_folder, writing_to
    from globe.training.rows_by_hand import ROWS_FILE, write_rows

    text = read_prompt(prompt) if prompt else ""
    folder = output_folder(out)
    with writing_to(folder):
        count = write_rows(stage.value.replace("-", "_"), data, folder, text)
    path = folder / ROWS_FILE
    emit([to_json({"stage": stage.value, "rows": count, "file": str(path)})] if as_json else [f"{count} rows", f"rows  {path}"])


COMMANDS = (sft, reward_model, grpo, rows)
