"""How a model is asked and served: as its manifest says, or else the full-size recipes, unless the user says otherwise."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from globe.answer.prompt import usable_prompt
from globe.asking.client import Served
from globe.console import tell
from globe.data.tables import read_text
from globe.errors import InputError
from globe.evaluation.recipe import EvaluationRecipe
from globe.models.checkpoints import MANIFEST_FILE, TINY, Checkpoint, Usage, read_checkpoint
from globe.recipes.load import known_recipes, load_recipe, load_stage_recipe, recipe_from, recipe_path
from globe.served import require_model
from globe.serving.recipe import ServingRecipe

FULL_SIZE = {"serving": "gpu", "evaluation": "benchmark"}
"""Recipes for a model about which nothing is known: published checkpoints have 7 or 8 B parameters and reason at length."""
DRAWN_PICTURES_ONLY = (
    "this is the demo's model: it has only ever seen drawn pictures of a toy world, so what it says about a photo is a guess"
)


def usage_of_run(recipes: Mapping[str, str], overrides: Mapping[str, Any]) -> Usage:
    """What a run's recipes say about serving and asking its models, for the manifests of the checkpoints that it makes.

    Args:
        recipes: Name of each stage's recipe; a run that does not serve or evaluate names none for that.
        overrides: Values that replace recipes', by STAGE.FIELD.

    Returns:
        The resolved values. They hold no prompt, which comes from the training recipe.
    """
    serving, evaluation = {}, {}
    if recipes.get("serving"):
        serving = load_stage_recipe(ServingRecipe, "serving", recipes, overrides).model_dump(mode="json")
    if recipes.get("evaluation"):
        loaded = load_stage_recipe(EvaluationRecipe, "evaluation", recipes, overrides)
        evaluation = loaded.model_dump(mode="json", exclude={"gate", "limit", "expected"})
    return Usage(serving=serving, evaluation=evaluation)


def serving_recipe(checkpoint: Checkpoint, name: str, overrides: Mapping[str, Any]) -> tuple[ServingRecipe, str]:
    """How to serve a checkpoint, and why that way.

    Args:
        checkpoint: The checkpoint.
        name: Recipe that the user named; if empty, the manifest decides, or else the full-size recipe is used.
        overrides: Values that replace the recipe's, by dotted key.

    Returns:
        The recipe and where it comes from, as one short text.

    Raises:
        InputError: As `globe.recipes.load.load_recipe`; errors in a manifest's values name its path.
    """
    if name:
        return load_recipe(ServingRecipe, "serving", name, overrides), f"serving recipe {name}"
    if checkpoint.serving:
        recipe = recipe_from(ServingRecipe, checkpoint.serving, overrides, lambda field: f"{checkpoint.manifest}: serving")
        return recipe, f"the serving values of {checkpoint.manifest}"
    full = FULL_SIZE["serving"]
    why = f"serving recipe {full} (no manifest names another for {checkpoint.uri}; --recipe NAME does)"
    return load_recipe(ServingRecipe, "serving", full, overrides), why


def evaluation_recipe(
    checkpoint: Checkpoint | None, served: Served | None, name: str, overrides: Mapping[str, Any], prompt: str = ""
) -> tuple[EvaluationRecipe, str]:
    """How to ask a model, and why that way.

    Args:
        checkpoint: The model's checkpoint, if its manifest is on this machine.
        served: What its server says about it; None before it is served.
        name: Recipe that the user named; if empty, the manifest decides, or else the full-size recipe is used.
        overrides: Values that replace the recipe's, by dotted key.
        prompt: The user's own prompt; if empty, the recipe's, the manifest's or the default one is used.

    Returns:
        The recipe, with the prompt to ask and no more tokens than the server allows, and where it comes from.

    Raises:
        InputError: As `globe.recipes.load.load_recipe`; errors in a manifest's values name its path.
    """
    if name:
        recipe, why = load_recipe(EvaluationRecipe, "evaluation", name, overrides), f"evaluation recipe {name}"
    elif checkpoint and checkpoint.evaluation:
        manifest = checkpoint.manifest
        recipe = recipe_from(EvaluationRecipe, checkpoint.evaluation, overrides, lambda field: f"{manifest}: evaluation")
        why = f"the evaluation values of {manifest}"
    else:
        full = FULL_SIZE["evaluation"]
        recipe = load_recipe(EvaluationRecipe, "evaluation", full, overrides)
        why = f"evaluation recipe {full} (no manifest here names another for this model; --recipe NAME does)"
    if prompt:
        recipe = recipe.model_copy(update={"prompt": prompt})
    return asked(recipe, checkpoint.prompt if checkpoint else "", served), why


def asked(recipe: EvaluationRecipe, prompt: str, served: Served | None = None) -> EvaluationRecipe:
    """A recipe as it is used for one model.

    Args:
        recipe: The recipe.
        prompt: The prompt of the model's manifest, for a recipe that has none and asks for reasons.
        served: What its server says about it; vLLM refuses a token limit above its `max_model_len`.

    Returns:
        The recipe with its final prompt (empty for the default) and limit.
    """
    room = served.max_model_len if served else 0
    most = min(recipe.max_tokens, room) if room else recipe.max_tokens
    trained_with = prompt if recipe.reasoning else ""  # it asks for reasons
    return recipe.model_copy(update={"prompt": recipe.prompt or trained_with, "max_tokens": most})


def names_by_stage(name: str) -> dict[str, str]:
    """Which recipes a name stands for in a command that serves and asks: a serving recipe, an evaluation recipe, or both.

    Raises:
        InputError: There is no such recipe for either.
    """
    if not name:
        return {}
    found = {stage: name for stage in FULL_SIZE if recipe_path(stage, name).is_file()}
    if not found:
        known = " or ".join(f"{known_recipes(stage)} for {stage}" for stage in FULL_SIZE)
        raise InputError(f"no recipe {name!r}: choose {known}")
    return found


def checkpoint_of(served: Served) -> Checkpoint | None:
    """The checkpoint that a server serves, if it is on this machine and has a manifest of ours; else None.

    Raises:
        InputError: There is a manifest, but it cannot be read.
        GlobeError: The folder holds another model by now.
    """
    folder = Path(served.root)
    try:
        found = read_checkpoint(folder) if folder.is_absolute() and (folder / MANIFEST_FILE).is_file() else None
    except OSError:  # another user's folder
        return None
    if found and served.digest:
        require_model(served.digest, found.digest, str(folder))
    return found


def serving_name(recipe: str) -> str:
    """The serving recipe of the same name as an evaluation recipe; empty if there is none, or if it is a user's own file."""
    own = recipe.endswith((".yaml", ".yml"))
    return "" if own or not recipe or not recipe_path("serving", recipe).is_file() else recipe


def read_prompt(path: Path) -> str:
    """The prompt in a text file.

    Raises:
        InputError: The file cannot be read, is empty, or cannot be used as a prompt.
    """
    try:
        prompt = usable_prompt(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    if not prompt:
        raise InputError(f"{path}: is empty; write the prompt in it")
    return prompt


def warn(checkpoint: Checkpoint | None) -> None:
    """Warn on stderr if a model's answers must not be taken at face value."""
    if checkpoint and checkpoint.base_model == TINY:
        tell(DRAWN_PICTURES_ONLY)
