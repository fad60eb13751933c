"""`globe sft`, `globe reward-model` and `globe grpo`: run a training stage by hand, as the pipeline does."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from globe.cli.options import JsonFlag, Overrides
from globe.console import emit, to_json

Recipe = Annotated[str, typer.Option(help="Name of a recipe, or the path of a YAML file.")]
Data = Annotated[str, typer.Option(metavar="URI", help="Folder that curation wrote, or its s3:// URI.")]
Model = Annotated[str, typer.Option(metavar="URI", help='Folder or s3:// URI of a model or checkpoint; "tiny" for the demo\'s.')]
Out = Annotated[str, typer.Option(metavar="URI", help="Folder or s3:// prefix; the checkpoint will lie in OUT/checkpoint.")]


def sft(recipe: Recipe, data: Data, model: Model, out: Out, settings: Overrides = None, as_json: JsonFlag = False) -> None:
    """Fine-tune a model on curated rows. If stopped, the same command resumes from the last checkpoint."""
    from globe.training.by_hand import sft_by_hand

    _run(sft_by_hand, settings, as_json, recipe=recipe, data=data, model=model, out=out)


def reward_model(
    recipe: Recipe, data: Data, model: Model, out: Out, settings: Overrides = None, as_json: JsonFlag = False
) -> None:
    """Train the judge of localizability. If stopped, the same command resumes from the last checkpoint."""
    from globe.training.by_hand import reward_model_by_hand

    _run(reward_model_by_hand, settings, as_json, recipe=recipe, data=data, model=model, out=out)


def grpo(
    recipe: Recipe,
    data: Data,
    model: Model,
    out: Out,
    judge: Annotated[str, typer.Option("--reward-model", metavar="URI", help="Checkpoint of the reward model.")] = "",
    reward_url: Annotated[str, typer.Option(help="Where it is served: `globe serve CHECKPOINT --name reward_model`.")] = "",
    settings: Overrides = None,
    as_json: JsonFlag = False,
) -> None:
    """Reinforce a policy with the recipe's rewards. If stopped, the same command resumes from the last checkpoint."""
    from globe.training.by_hand import grpo_by_hand

    reward_key = ""
    if reward_url:
        from globe.asking.client import find_model
        from globe.keys import SERVER_KEY, key_for
        from globe.training.grpo import REWARD_MODEL_NAME

        find_model(reward_url, REWARD_MODEL_NAME)  # else training would wait half an hour for a server that never comes
        reward_key = key_for(reward_url, SERVER_KEY)
        _require_room(reward_url, recipe, settings)
    inputs = {"recipe": recipe, "data": data, "model": model, "out": out, "judge": judge}
    inputs |= {"reward_url": reward_url, "reward_key": reward_key}
    _run(grpo_by_hand, settings, as_json, **inputs)


def _require_room(reward_url: str, recipe: str, settings: list[str] | None) -> None:
    """A reward service of this machine has a GPU; whoever names GPUs in CUDA_VISIBLE_DEVICES has seen to that."""
    from urllib.parse import urlsplit

    from globe.keys import THIS_MACHINE
    from globe.recipes.load import load_recipe, parse_overrides
    from globe.run.gpus import VISIBLE_VARIABLE, gpus_here
    from globe.serving.room import require_room
    from globe.training.grpo_recipe import GrpoRecipe

    if urlsplit(reward_url).hostname in THIS_MACHINE and VISIBLE_VARIABLE not in os.environ:
        require_room(load_recipe(GrpoRecipe, "grpo", recipe, parse_overrides(settings or [])), gpus_here())


def _run(train: Callable[..., dict[str, Any]], settings: list[str] | None, as_json: bool, **inputs: str) -> None:
    from globe.recipes.load import parse_overrides

    made = train(overrides=parse_overrides(settings or []), **inputs)
    figure = f"{'found' if made['reused'] else 'trained'}: {made['steps']} steps"
    emit([to_json(made)] if as_json else [figure, f"checkpoint  {made['checkpoint']}"])


COMMANDS = (sft, reward_model, grpo)
