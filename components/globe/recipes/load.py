"""Load recipes: one YAML file each, which may extend another, overridden key by key and validated before anything is spent.

`extends: NAME` takes another recipe of the same stage (or, by path, any YAML file) as the base, so a recipe says only what
differs: mappings are merged key by key, anything else replaces the base's value, and `null` drops it.
"""

import difflib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from globe.errors import InputError

WHOLE = "the whole"
RECIPES_FOLDER = Path(__file__).parent
Recipe = TypeVar("Recipe", bound=BaseModel)
Layer = tuple[Path, dict[str, Any]]
"""A recipe's file and what it holds."""


class BadOverride(InputError):
    """A value that replaces a recipe's is wrong. The caller knows where the user gave it, and can say so in the message."""

    def __init__(self, key: str, reason: str, where: str = "--set ") -> None:
        """Name the override by its key as it was given, such as "gate.threshold_km", and say what is wrong with it."""
        super().__init__(f"{where}{key}: {reason}")
        self.key, self.reason = key, reason


def load_recipe(model: type[Recipe], stage: str, name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe and validate it.

    Args:
        model: The pydantic model of the stage's recipes.
        stage: Folder of the stage below `recipes/`, such as "sft".
        name: Recipe name ("demo"), or the path of a user's own YAML file.
        overrides: Values that replace the file's, by dotted key.

    Returns:
        The validated recipe.

    Raises:
        InputError: Unknown recipe, unreadable file, unknown key or wrong type; names the file, or the override, and the field.
    """
    layers = _layers(stage, recipe_path(stage, name), name)
    return recipe_from(model, _merged(layers), overrides or {}, lambda field: str(_file_of(layers, field)))


def recipe_values(stage: str, name: str) -> dict[str, Any]:
    """A recipe's values, including those of the recipes that it extends, not yet validated.

    Raises:
        InputError: Unknown recipe or unreadable file.
    """
    return _merged(_layers(stage, recipe_path(stage, name), name))


def recipe_path(stage: str, name: str, base: Path = Path()) -> Path:
    """Where a stage's recipe is, or would be.

    Args:
        stage: The stage.
        name: A recipe of the package, or the path of a user's own YAML file.
        base: The folder to which such a path is relative.
    """
    return base / name if name.endswith((".yaml", ".yml")) else RECIPES_FOLDER / stage / f"{name}.yaml"


def _layers(stage: str, path: Path, name: str) -> list[Layer]:
    """A recipe's file, then the one that it extends, and so on, each with its content."""
    layers: list[Layer] = []
    asked = ""
    while True:
        if not is_file(path):
            known = known_recipes(stage)
            raise InputError(f"{asked}no recipe {name!r} for {stage}: choose one of {known}, or give the path of a YAML file")
        if path.resolve() in [file.resolve() for file, _ in layers]:
            raise InputError(f"{asked}{path} extends itself ({' -> '.join(file.name for file, _ in layers)} -> {path.name})")
        content = _read(path)
        layers.append((path, content))
        if "extends" not in content:
            return layers
        asked, name = f"{path}: extends: ", content.pop("extends")
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{asked}{name!r} is not the name of a recipe for {stage} nor the path of a YAML file")
        path = recipe_path(stage, name, path.parent)


def is_file(path: Path) -> bool:
    """Whether a file is there; one whose name no file system takes is not."""
    try:
        return path.is_file()
    except OSError:
        return False


class _OnceLoader(yaml.SafeLoader):
    """Refuses a key that is given twice; YAML would take the last one and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice; keep one", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file of the user's.

    Raises:
        InputError: It cannot be read, or is not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceLoader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a ValueError: not UTF-8, or a date that no calendar has
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path) or {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a recipe: write each field as `name: value`")
    return content


def _merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """The values of a recipe and of all that it extends."""
    return reduce(_merge, (content for _, content in reversed(layers)))


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        if value is None and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _file_of(layers: Sequence[Layer], field: str) -> Path:
    """The file that sets a field: the first that has it, or else that has the closest mapping around it."""
    parts = field.split(".") if field else []
    for length in range(len(parts), 0, -1):
        for path, content in layers:
            if _holds(content, parts[:length]):
                return path
    return layers[0][0]


def _holds(content: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def known_recipes(stage: str) -> str:
    """The package's recipes of a stage by name, for a message."""
    return ", ".join(sorted(file.stem for file in (RECIPES_FOLDER / stage).glob("*.yaml")))


def recipe_from(model: type[Recipe], content: Any, overrides: Mapping[str, Any], where: Callable[[str], str]) -> Recipe:
    """Validate a recipe's content with some values replaced.

    Args:
        model: The pydantic model.
        content: Values by field, as a recipe's file or a checkpoint's manifest has them; not modified.
        overrides: Values that replace these, by dotted key.
        where: Says for a field which file it is from, for messages.

    Raises:
        InputError: Unknown key or wrong type; names the file and the field.
    """
    content = deepcopy(content)
    for key, value in overrides.items():
        _set(content, key, value)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        field, reason = _complaint(model, error)
        for key in overrides:
            if _within(field, key):
                inner = field.removeprefix(f"{key}.")
                raise BadOverride(key, f"{inner}: {reason}" if len(inner) < len(field) else reason) from error
            if _within(key, field):  # such as a new entry of a field that its own rule refuses
                raise BadOverride(key, reason) from error
        raise InputError(f"{where(field)}: {field or WHOLE}: {reason}") from error


def _within(inner: str, outer: str) -> bool:
    return bool(outer) and f"{inner}.".startswith(f"{outer}.")


def load_stage_recipe(model: type[Recipe], stage: str, recipes: Mapping[str, str], overrides: Mapping[str, Any]) -> Recipe:
    """Read the recipe that a run names for a stage, with the overrides meant for it: those whose key starts with `STAGE.`.

    Raises:
        InputError: The run names none, or as `load_recipe`.
    """
    name = recipes.get(stage)
    if not name:  # no default: a recipe left out by mistake must not train something else
        raise InputError(f'recipes: none is named for stage {stage}; add "{stage}": NAME')
    own = {key.removeprefix(f"{stage}."): value for key, value in overrides.items() if key.startswith(f"{stage}.")}
    try:
        return load_recipe(model, stage, name, own)
    except BadOverride as error:
        raise BadOverride(f"{stage}.{error.key}", error.reason, "overrides: ") from error


def validate(model: type[Recipe], content: Any, where: str, joint: str = ": ") -> Recipe:
    """Validate against a pydantic model, turning its complaints into one line that names the field.

    Args:
        model: The model.
        content: What to validate.
        where: Where it comes from: a file or an option.
        joint: The text between that and the field's name.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        field, reason = _complaint(model, error)
        raise InputError(f"{where}{joint}{field or WHOLE}: {reason}") from error


def _complaint(model: type[BaseModel], error: ValidationError) -> tuple[str, str]:
    """Pydantic's first complaint: the field's dotted name (empty for the whole content), and the reason."""
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return _subject(reason, {*model.model_fields, *(first["input"] if isinstance(first["input"], dict) else ())})
    if first["type"] == "list_type" and isinstance(first["input"], str | int | float):
        reason += f"; write it as [{first['input']}]"
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        close = difflib.get_close_matches(str(first["loc"][0]), model.model_fields, 3)
        reason += f"; did you mean {' or '.join(close)}?" if close else f" (fields: {', '.join(model.model_fields)})"
    return ".".join(str(part) for part in first["loc"]), reason


def _subject(reason: str, names: Container[str]) -> tuple[str, str]:
    """A complaint about the whole as one about the field whose name it begins with, if it does."""
    word, _, rest = reason.partition(" ")
    name = word.rstrip(":")
    return (name, rest if word != name else reason) if name in names else ("", reason)


def parse_overrides(pairs: Iterable[str], is_text: Callable[[str], bool] = lambda key: False) -> dict[str, Any]:
    """Parse `key=value` arguments; values are read as YAML, so `3`, `true`, `[a, b]` have their types.

    Args:
        pairs: The arguments.
        is_text: Whether to keep a key's value as text, such as the name of a folder that looks like a number.

    Raises:
        InputError: A pair without `=` or without a key.
    """
    overrides: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key.strip():
            raise InputError(f"--set {pair!r}: write it as key=value")
        key = key.strip()
        if is_text(key):
            overrides[key] = text
            continue
        try:
            value = yaml.safe_load(text) if text else ""
        except (yaml.YAMLError, ValueError, RecursionError):  # a ValueError: such as a date that no calendar has
            value = text
        overrides[key] = _number(value)
    return overrides


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-3` as text, but people who type it mean the number."""
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
