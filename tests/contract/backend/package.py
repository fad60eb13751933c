"""A compiled package, both of its YAML documents, as the backend walks it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = "root"


@dataclass(frozen=True)
class Task:
    """A task of a graph.

    Attributes:
        name: Its key among the tasks of its graph, by which others name it.
        graph: Name of the component whose graph it is in: "root" or "comp-...".
        definition: Its `PipelineTaskSpec`.
        component: The component that it runs, a `ComponentSpec`.
        container: The container spec, {} if it runs a graph.
        settings: Its `KubernetesExecutorConfig`, {} for none.
    """

    name: str
    graph: str
    definition: Mapping[str, Any]
    component: Mapping[str, Any]
    container: Mapping[str, Any]
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.graph}/{self.name}"

    @property
    def component_name(self) -> str:
        return self.definition["componentRef"]["name"]

    @property
    def executor(self) -> str:
        """Label of its executor; empty if it runs a graph."""
        return self.component.get("executorLabel", "")

    @property
    def needs(self) -> Mapping[str, Mapping[str, Any]]:
        """Where each of its input parameters comes from."""
        return self.definition.get("inputs", {}).get("parameters", {})

    @property
    def needs_artifacts(self) -> Mapping[str, Mapping[str, Any]]:
        """Where each of its input artifacts comes from."""
        return self.definition.get("inputs", {}).get("artifacts", {})

    @property
    def takes(self) -> Mapping[str, Mapping[str, Any]]:
        """The input parameters that its component declares."""
        return self.component.get("inputDefinitions", {}).get("parameters", {})


@dataclass(frozen=True)
class Package:
    """A compiled pipeline: the pipeline spec and the platform spec, as plain JSON values."""

    spec: dict[str, Any]
    platform: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Self:
        """A package from its YAML."""
        spec, *platform = [document for document in yaml.safe_load_all(text) if document]
        return cls(spec, platform[0] if platform else {})

    @classmethod
    def of(cls, path: Path) -> Self:
        """A package from its file."""
        return cls.read(path.read_text(encoding="utf-8"))

    @property
    def name(self) -> str:
        return self.spec["pipelineInfo"]["name"]

    @property
    def components(self) -> dict[str, dict[str, Any]]:
        """All components, the root among them."""
        return {ROOT: self.spec["root"], **self.spec.get("components", {})}

    @property
    def executors(self) -> dict[str, dict[str, Any]]:
        """Container specs by executor label."""
        return {label: one["container"] for label, one in self.spec["deploymentSpec"]["executors"].items() if "container" in one}

    @property
    def kubernetes(self) -> dict[str, Any]:
        """The platform spec's part for Kubernetes."""
        return self.platform.get("platforms", {}).get("kubernetes", {})

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """`KubernetesExecutorConfig`s by executor label."""
        return self.kubernetes.get("deploymentSpec", {}).get("executors", {})

    @property
    def graphs(self) -> dict[str, dict[str, Any]]:
        """Components that are graphs, each with its tasks and outputs."""
        return {name: component["dag"] for name, component in self.components.items() if "dag" in component}

    def tasks(self, graph: str = "") -> Iterator[Task]:
        """The tasks of a graph, or of all; each in the order in which the backend's compiler goes through them."""
        for name, dag in self.graphs.items():
            if graph in ("", name):
                for task, definition in sorted(dag.get("tasks", {}).items()):
                    yield self._task(task, name, definition)

    def pods(self) -> Iterator[Task]:
        """The tasks that run a container."""
        return (task for task in self.tasks() if task.container)

    def runs(self, executor: str) -> Task:
        """A task that an executor runs, by the executor's label."""
        return next(task for task in self.tasks() if task.executor == executor)

    def _task(self, name: str, graph: str, definition: Mapping[str, Any]) -> Task:
        component = self.components[definition["componentRef"]["name"]]
        label = component.get("executorLabel", "")
        return Task(name, graph, definition, component, self.executors.get(label, {}), self.settings.get(label, {}))
