"""Load recipes: YAML in the package, one file a recipe, overridden key by key and validated before anything is spent."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from globe.errors import InputError

RECIPES_FOLDER = Path(__file__).parent / "recipes"
Recipe = TypeVar("Recipe", bound=BaseModel)


def load_recipe(model: type[Recipe], stage: str, name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe and validate it.

    Args:
        model: The pydantic model of the stage's recipes.
        stage: Folder of the stage below `recipes/`, such as "sft".
        name: Recipe name ("demo"), or the path of a YAML file of the user's own.
        overrides: Values that replace the file's, by dotted key.

    Returns:
        The validated recipe.

    Raises:
        InputError: Unknown recipe, unreadable file, unknown key or wrong type; names the file and the field.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES_FOLDER / stage / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in (RECIPES_FOLDER / stage).glob("*.yaml")))
        raise InputError(f"no recipe {name!r} for {stage}: choose one of {known}, or give the path of a YAML file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    for key, value in (overrides or {}).items():
        _set(content, key, value)
    return validate(model, content, str(path))


def load_stage_recipe(model: type[Recipe], stage: str, recipes: Mapping[str, str], overrides: Mapping[str, Any]) -> Recipe:
    """Read the recipe that a run names for a stage, with the overrides meant for it: those whose key starts with `STAGE.`.

    Raises:
        InputError: The run names none, or as `load_recipe`.
    """
    name = recipes.get(stage)
    if not name:  # never a default: a recipe left out by mistake must not train something else
        raise InputError(f'recipes: none is named for stage {stage}; add "{stage}": NAME')
    own = {key.removeprefix(f"{stage}."): value for key, value in overrides.items() if key.startswith(f"{stage}.")}
    return load_recipe(model, stage, name, own)


def validate(model: type[Recipe], content: Any, where: str) -> Recipe:
    """Validate against a pydantic model, turning its complaints into one line that names the field."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        known = f" (fields: {', '.join(model.model_fields)})" if first["type"] == "extra_forbidden" else ""
        raise InputError(f"{where}: {field}: {first['msg']}{known}") from error


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Parse `key=value` arguments; values are read as YAML, so `3`, `true`, `[a, b]` have their types.

    Raises:
        InputError: A pair without `=` or without a key.
    """
    overrides: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key.strip():
            raise InputError(f"--set {pair!r}: write it as key=value")
        try:
            value = yaml.safe_load(text) if text else ""
        except yaml.YAMLError:
            value = text
        overrides[key.strip()] = _number(value)
    return overrides


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-3` as text; people who type it mean the number."""
    if isinstance(value, str):
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _set(content: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise InputError(f"--set {dotted}: {parent} is a single value and has no fields")
    content[last] = value
