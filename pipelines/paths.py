"""Paths among a run's arguments: files and folders, which users write as they would in a shell."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from globe.data.named import DATASETS_VARIABLE, home_of, split_name
from globe.data.source import TOY
from globe.errors import InputError
from globe.evaluation.promote import PROMOTED
from globe.models.checkpoints import TINY

PATHS = ("source", "dataset", "base_model", "model", "baseline", "result")
"""Parameters that hold one path each."""
PATHS_BY_STAGE = ("start_from", "recipes")
"""Parameters that hold a path for each of several stages; a recipe is one only if it is the user's own file."""
NAMES = ("", TOY, TINY, PROMOTED)
"""Values that are names, and not paths."""
_RECIPE_FILES = (".yaml", ".yml")


def on_this_machine(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A run's arguments with absolute paths, for its processes, which work in another folder.

    `~` is the user's home, and relative paths start from where the command was typed. A data set's NAME becomes NAME@PLACE, so
    that the run's containers are given the place.
    """
    return _with_paths(_with_homes(arguments), lambda key, text: os.path.abspath(os.path.expanduser(text)))


def _with_homes(arguments: Mapping[str, Any]) -> dict[str, Any]:
    def found(value: Any) -> Any:
        known, place = split_name(value) if isinstance(value, str) else (None, "")
        return f"{value}@{home_of(known)}" if known and not place and os.environ.get(DATASETS_VARIABLE) else value

    return {key: found(value) if key in ("source", "dataset") else value for key, value in arguments.items()}


def refuse_home_folders(arguments: Mapping[str, Any]) -> None:
    """Check that no path on a cluster starts with `~`.

    Raises:
        InputError: One does.
    """

    def check(key: str, text: str) -> str:
        if text.startswith("~"):
            raise InputError(
                f"{key}: {text}: there is no home folder on a cluster; give a path that its pods see, or an s3:// address"
            )
        return text

    _with_paths(arguments, check)


def refuse_places_in_pods(arguments: Mapping[str, Any], claim: str, mount_path: str) -> None:
    """Check that a run on a cluster writes nothing where it ends with its pods.

    Args:
        arguments: The run's arguments.
        claim: The claim that all pods share; empty for none.
        mount_path: Where they have it.

    Raises:
        InputError: Its store, or the place for an evaluation's figures, is neither on the claim nor on S3.
    """
    shared = PurePosixPath(mount_path)
    for key in ("store", "result"):
        text = arguments.get(key, "")
        path = PurePosixPath(text)
        kept = "://" in text or (claim and path != shared and path.is_relative_to(shared) and ".." not in path.parts)
        if not kept and (text or key == "store"):
            there = (
                f"a folder below {mount_path}, where pods have the claim {claim}, or an s3:// address" if claim else "s3://..."
            )
            raise InputError(f"{key}: {text!r}: it would be lost with the pod that writes it; give {there}")


def _with_paths(arguments: Mapping[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    def changed(key: str, value: Any) -> Any:
        if not isinstance(value, str) or value in NAMES or "://" in value:
            return value
        known, place = split_name(value)  # a data set's name stays, and of NAME@PLACE the place is a path
        if known is None:
            return change(key, value)
        return f"{value.partition('@')[0]}@{change(key, place)}" if place else value

    found = dict(arguments)
    for key in PATHS:
        if key in found:
            found[key] = changed(key, found[key])
    for key in PATHS_BY_STAGE:
        entries = found.get(key, {})
        files = {name for name, value in entries.items() if key != "recipes" or Path(str(value)).suffix in _RECIPE_FILES}
        found |= {key: {n: changed(f"{key}.{n}", v) if n in files else v for n, v in entries.items()}} if key in found else {}
    return found
