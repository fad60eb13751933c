"""What KFP tells a task in its command line: the values of its inputs, and where it collects its outputs.

A backend's launcher puts it there as JSON, after `--executor_input`, in every version.
"""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OPTION = "--executor_input"
LOGS = "executor-logs"
"""An output that the launcher itself writes while the task runs."""
_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
"""Where the launcher collects an artifact from, by the scheme of its address (launcher_v2.go, LocalPathForURI)."""


@dataclass(frozen=True)
class ExecutorInput:
    """A task's inputs and the places of its outputs; empty where nothing was told."""

    parameters: dict[str, Any] = field(default_factory=dict)
    places: list[Path] = field(default_factory=list)

    def text(self, name: str) -> str:
        """An input as text; empty if there is none."""
        value = self.parameters.get(name)
        return value if isinstance(value, str) else ""

    def count(self, name: str) -> int:
        """An input as a whole number, from digits or a number; 0 if there is none."""
        with suppress(TypeError, ValueError):
            return int(self.parameters.get(name) or 0)
        return 0

    def remove_outputs(self) -> None:
        """Remove what a failed attempt has left where outputs are collected, so that none of it passes for a result."""
        for place in self.places:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                with suppress(OSError):
                    place.unlink(missing_ok=True)


def read_executor_input(command: Sequence[str]) -> ExecutorInput:
    """Find it in a command line; empty if the command has none, or not one that can be read."""
    try:
        told = json.loads(command[list(command).index(OPTION) + 1])
        parameters = dict(told.get("inputs", {}).get("parameterValues", {}))
        return ExecutorInput(parameters, _places(told.get("outputs", {})))
    except (ValueError, IndexError, TypeError, AttributeError, KeyError):
        return ExecutorInput()


def _places(outputs: dict[str, Any]) -> list[Path]:
    files = [parameter.get("outputFile", "") for parameter in outputs.get("parameters", {}).values()]
    artifacts = [
        artifact.get("customPath") or _collected_from(artifact.get("uri", ""))
        for name, group in outputs.get("artifacts", {}).items()
        for artifact in group.get("artifacts", [])
        if name != LOGS
    ]
    places = [Path(text) for text in (*files, *artifacts, outputs.get("outputFile", "")) if text]
    return [place for place in places if place.is_absolute() and place.name and ".." not in place.parts]


def _collected_from(uri: str) -> str:
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return mount + uri.removeprefix(scheme)
    return uri
