"""Places that a run's arguments name: files and folders, which a user writes as he would in a shell."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from globe.data.source import TOY
from globe.errors import InputError
from globe.evaluation.promote import PROMOTED
from globe.models.checkpoints import TINY

PLACES = ("source", "dataset", "base_model", "model", "baseline", "result")
"""Parameters that name one place each."""
PLACES_BY_STAGE = ("start_from", "recipes")
"""Parameters that name a place for each of several stages; a recipe only where it is a file of the user's own."""
NAMES = ("", TOY, TINY, PROMOTED)
"""Names that stand for no place."""
_RECIPE_FILES = (".yaml", ".yml")


def on_this_machine(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A run's arguments with places as its processes, which work in another folder, will find them.

    `~` is the user's home, and what is relative is so to where the command was typed.
    """
    return _with_places(arguments, lambda key, text: os.path.abspath(os.path.expanduser(text)))


def refuse_home_folders(arguments: Mapping[str, Any]) -> None:
    """Check that no place on a cluster is given from somebody's home.

    Raises:
        InputError: One starts with `~`.
    """

    def check(key: str, text: str) -> str:
        if text.startswith("~"):
            raise InputError(f"{key}: {text}: there is no home on a cluster; give a path that its pods see, or an s3:// address")
        return text

    _with_places(arguments, check)


def _with_places(arguments: Mapping[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    def changed(key: str, value: Any) -> Any:
        named = isinstance(value, str) and value not in NAMES and "://" not in value
        return change(key, value) if named else value

    found = dict(arguments)
    for key in PLACES:
        if key in found:
            found[key] = changed(key, found[key])
    for key in PLACES_BY_STAGE:
        entries = found.get(key, {})
        files = {name for name, value in entries.items() if key != "recipes" or Path(str(value)).suffix in _RECIPE_FILES}
        found |= {key: {n: changed(f"{key}.{n}", v) if n in files else v for n, v in entries.items()}} if key in found else {}
    return found
