"""Profiles: where and how big a run is. One YAML file each in profiles/, validated before anything is spent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from globe.curation.ingest import TOY
from globe.curation.recipe import CurationRecipe
from globe.curation.stage import SIMULATED, parse_teachers
from globe.curation.teachers import check_teachers
from globe.errors import InputError
from globe.evaluation.recipe import EvaluationRecipe
from globe.serving.recipe import ServingRecipe
from globe.settings import load_stage_recipe, validate
from globe.training.base_model import TINY
from globe.training.recipe import GrpoRecipe, RewardModelRecipe, SftRecipe

PROFILES = Path(__file__).parent / "profiles"
RECIPES: dict[str, type[BaseModel]] = {
    "curation": CurationRecipe,
    "sft": SftRecipe,
    "reward_model": RewardModelRecipe,
    "grpo": GrpoRecipe,
    "serving": ServingRecipe,
    "evaluation": EvaluationRecipe,
}


class Parameters(BaseModel):
    """The training pipeline's parameters, as its signature has them; `store` is given by whoever runs it."""

    model_config = ConfigDict(extra="forbid")

    source: str = TOY
    pictures: int = 2100
    teachers: str = SIMULATED
    base_model: str = TINY
    train_sft: bool = True
    train_reward_model: bool = True
    curation_recipe: str = "demo"
    sft_recipe: str = "demo"
    reward_model_recipe: str = "demo"
    grpo_recipe: str = "demo"
    serving_recipe: str = "demo"
    evaluation_recipe: str = "demo"
    overrides: dict[str, Any] = {}
    seed: int = 0


class Profile(BaseModel):
    """One profile."""

    model_config = ConfigDict(extra="forbid")

    title: str
    parameters: Parameters


def load_profile(name: str, settings: Mapping[str, Any]) -> Profile:
    """Read a profile, apply `--set` values and check all that can be checked without spending anything.

    Args:
        name: Name of a file in profiles/, or the path of a YAML file.
        settings: Pipeline parameters by name, and recipe values by STAGE.FIELD.

    Returns:
        The profile, ready to run.

    Raises:
        InputError: Unknown profile, parameter, recipe or field; a wrong type; a combination that cannot work.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
        raise InputError(f"no profile {name!r}: choose one of {known}, or give the path of a YAML file")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    parameters = content.setdefault("parameters", {})
    for key, value in settings.items():
        stage, dot, _ = key.partition(".")
        if dot and stage not in RECIPES:
            raise InputError(f"--set {key}: no stage {stage!r}; recipes belong to {', '.join(RECIPES)}")
        target = parameters.setdefault("overrides", {}) if dot else parameters
        target[key] = value
    if "pictures" not in settings and parameters.get("source", TOY) != TOY:
        parameters["pictures"] = 0  # the toy world's size says nothing about a folder of photos
    profile = validate(Profile, content, str(path))
    check(profile.parameters)
    return profile


def check(parameters: Parameters) -> None:
    """Check what a run would trip over later: recipes, teachers, paths.

    Raises:
        InputError: With what is wrong and what to give instead.
    """
    recipes = {
        stage: load_stage_recipe(model, stage, getattr(parameters, f"{stage}_recipe"), parameters.overrides)
        for stage, model in RECIPES.items()
    }
    if parameters.source != TOY:
        if not Path(parameters.source).exists():
            raise InputError(f"source: {parameters.source}: no such folder or table")
        if parameters.teachers == SIMULATED:
            raise InputError(
                "teachers: real photos need real teachers; give --set teachers=MODEL@URL[,coordinates:MODEL@URL] "
                "(any OpenAI-compatible server; the simulated ones only know the toy world)"
            )
    if parameters.teachers != SIMULATED:
        check_teachers(parse_teachers(parameters.teachers), recipes["curation"].min_entity_support)  # type: ignore[attr-defined]
    if parameters.base_model != TINY and not (Path(parameters.base_model) / "config.json").is_file():
        raise InputError(f"base_model: {parameters.base_model}: no config.json there; give the folder of a Hugging Face model")
