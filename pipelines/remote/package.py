"""A compiled pipeline: its name, its parameters and its stages."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from globe.errors import InputError

_TYPES: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "STRING": ("a text", str),
    "NUMBER_INTEGER": ("a whole number", int),
    "NUMBER_DOUBLE": ("a number", (int, float)),
    "BOOLEAN": ("true or false", bool),
    "LIST": ("a list", list),
    "STRUCT": ("a mapping", dict),
}
_DIGEST_LETTERS = 16
_MADE_FOR = re.compile(r"Made for KFP (\d+\.\d+)\.$")


@dataclass(frozen=True)
class Package:
    """A compiled pipeline's YAML file.

    Attributes:
        path: The file.
        spec: Its first document: the pipeline.
        platforms: Its second document: settings for Kubernetes only; empty if there is none.
        digest: Digest of its bytes, which names the uploaded version.
    """

    path: Path
    spec: Mapping[str, Any]
    platforms: Mapping[str, Any]
    digest: str

    @classmethod
    def read(cls, path: Path) -> "Package":
        """Read a compiled pipeline.

        Raises:
            InputError: No such file, or no compiled pipeline.
        """
        try:
            content = path.read_bytes()
            documents = list(yaml.load_all(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; give training, evaluation, curation or a compiled YAML file") from None
        except (yaml.YAMLError, ValueError, RecursionError):
            raise InputError(f"{path}: not YAML; give a pipeline compiled by `python -m pipelines compile`") from None
        spec, platforms = (*documents, None, None)[:2]
        try:
            complete = isinstance(spec["pipelineInfo"]["name"], str) and isinstance(spec["root"]["dag"]["tasks"], dict)
            complete = complete and isinstance(spec["components"], dict) and str(spec["schemaVersion"]).startswith("2.")
        except (KeyError, TypeError):
            complete = False
        if not complete or len(documents) > 2 or not isinstance(platforms, dict | None):
            raise InputError(f"{path}: not a compiled pipeline; make one with `python -m pipelines compile`")
        return cls(path, spec, platforms or {}, digest_of(content))

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def made_for(self) -> str:
        """The version of KFP that our own packages name at the end of their description; empty for others' packages."""
        found = _MADE_FOR.search(str(self.spec["pipelineInfo"].get("description", "")))
        return found[1] if found else ""

    @property
    def body(self) -> Mapping[str, Any]:
        """The pipeline in the form that the API takes: one document, or both under their names."""
        return {"pipeline_spec": self.spec, "platform_spec": self.platforms} if self.platforms else self.spec

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """What can be set, by name."""
        found = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return found if isinstance(found, dict) else {}

    @cached_property
    def stages(self) -> dict[str, str]:
        """Titles of the tasks that run a container, by the name that the server gives them, in an order they can run in."""
        return dict(self._tasks(self.spec["root"]["dag"]))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Check the arguments for the pipeline.

        Raises:
            InputError: An unknown parameter, a missing one, or one of a wrong type.
        """
        for name, value in arguments.items():
            if name not in self.parameters:
                known = ", ".join(sorted(self.parameters)) or "none"
                raise InputError(f"{self.name}: no parameter {name!r}; it has {known}")
            self._check_type(name, value)
        for name, definition in self.parameters.items():
            if name not in arguments and "defaultValue" not in definition and not definition.get("isOptional"):
                raise InputError(f"{self.name}: parameter {name!r} has no default; give it with --set {name}=VALUE")

    def _check_type(self, name: str, value: Any) -> None:
        kind = str(self.parameters[name].get("parameterType", ""))
        wanted, types = _TYPES.get(kind, ("", object))
        fits = isinstance(value, types) and (kind in ("BOOLEAN", "") or not isinstance(value, bool))
        fits = fits or (kind == "NUMBER_INTEGER" and isinstance(value, float) and value.is_integer())
        if not fits:
            hint = f"""; quote it: --set "{name}='{value}'\"""" if kind == "STRING" else ""
            raise InputError(f"{self.name}: {name}: must be {wanted}, not {value!r}{hint}")

    def _tasks(self, dag: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for key in _in_order(dag["tasks"]):
            task = dag["tasks"][key]
            component = self.spec["components"].get(task["componentRef"]["name"], {})
            if "dag" in component:
                yield from self._tasks(component["dag"])
            else:
                yield key, str(task.get("taskInfo", {}).get("name") or key)


def digest_of(content: bytes) -> str:
    """Digest of a package's bytes, which names the pipeline's version, uploaded or as a custom resource."""
    return hashlib.sha256(content).hexdigest()[:_DIGEST_LETTERS]


def is_reject(task: str) -> bool:
    """Whether a task is the one that fails a run whose model did not pass the gate."""
    return re.fullmatch(r"reject(-\d+)?", task) is not None


def _in_order(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of tasks, each after those that it depends on, and otherwise sorted by name."""
    ordered: list[str] = []
    waiting = sorted(tasks)
    while waiting:
        ready = [name for name in waiting if all(other in ordered for other in tasks[name].get("dependentTasks", []))]
        ordered += ready or waiting  # a circle cannot be compiled; if one is there, its order does not matter
        waiting = [name for name in waiting if name not in ordered]
    return ordered
