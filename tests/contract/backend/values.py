"""Types of values at every border of a graph, as the drivers check them."""

import json
from collections.abc import Iterator
from typing import Any

from backend.package import Package, Task
from backend.pod import kind_of
from pipelines.backends import Backend

KINDS = {"NUMBER_INTEGER": "NUMBER", "NUMBER_DOUBLE": "NUMBER"}


def taken(declared: str, kind: str) -> bool:
    """Whether a parameter takes a value of a kind; a STRING takes everything, as text.

    driver/resolve.go (2.5: driver.go): resolveInputs, handleParamTypeValidationAndConversion.
    """
    return declared == "STRING" or KINDS.get(declared, declared) == KINDS.get(kind, kind)


def inputs_have_their_types(package: Package, backend: Backend) -> Iterator[str]:
    """driver/resolve.go (2.5: driver.go): resolveInputs; at every task, graphs and loops' iterations included; 2.5 to 2.17."""
    for task in package.tasks():
        for name, source in task.needs.items():
            declared = task.takes.get(name, {}).get("parameterType")
            kind = kind_from(package, task, source)
            if declared and kind and not taken(declared, kind):
                yield f"{task}: driver fails: input parameter {name!r} type mismatch: expect {declared}, got {kind}"


def inputs_are_given(package: Package, backend: Backend) -> Iterator[str]:
    """driver/resolve.go (2.5: driver.go): resolveInputs: "neither value nor default value provided"; 2.5 to 2.17.

    Nobody checks artifacts; the component's own code then misses one.
    """
    for task in package.tasks():
        item = task.definition.get("parameterIterator", {}).get("itemInput")
        for name, parameter in task.takes.items():
            if name not in task.needs and name != item and not parameter.get("isOptional") and "defaultValue" not in parameter:
                yield f"{task}: driver fails: neither value nor default value provided for non-optional parameter {name!r}"
        for name, artifact in task.component.get("inputDefinitions", {}).get("artifacts", {}).items():
            if name not in task.needs_artifacts and not artifact.get("isOptional"):
                yield f"{task}: it starts without artifact {name!r}"


def items_have_their_type(package: Package, backend: Backend) -> Iterator[str]:
    """driver/dag.go (2.5: driver.go): DAG, getItems; resolveInputs of an iteration, for items written in the pipeline."""
    for task in package.tasks():
        iterator = task.definition.get("parameterIterator", {})
        if not iterator:
            continue
        declared = task.takes[iterator["itemInput"]]["parameterType"]
        if raw := iterator["items"].get("raw"):
            for item in json.loads(raw):
                if not taken(declared, kind_of(item)):
                    yield f"{task}: driver fails: a loop's item {item!r} is no {declared}"
        elif (source := task.needs.get(iterator["items"]["inputParameter"])) is not None:
            kind = kind_from(package, task, source)
            if kind not in ("LIST", "STRING"):
                yield f"{task}: driver fails: value of type {kind} cannot be iterated"


def defaults_have_their_types(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/argo.go: Compile fills them in at the root, where driver/root_dag.go takes them; 2.5 to 2.17."""
    for name, component in package.components.items():
        for parameter, spec in component.get("inputDefinitions", {}).get("parameters", {}).items():
            if "defaultValue" in spec and KINDS.get(declared := spec["parameterType"], declared) != kind_of(spec["defaultValue"]):
                yield f"{name}: default of {parameter!r} is {kind_of(spec['defaultValue'])}, but it is {declared}"


def kind_from(package: Package, task: Task, source: Any) -> str:
    """What kind of value a source has: a parameter type, or the kind of a constant; empty if the source does not exist."""
    if "runtimeValue" in source:
        return kind_of(source["runtimeValue"]["constant"])
    if "componentInputParameter" in source:
        around = package.components[task.graph].get("inputDefinitions", {}).get("parameters", {})
        return around.get(source["componentInputParameter"], {}).get("parameterType", "")
    if "taskOutputParameter" in source:
        output = source["taskOutputParameter"]
        producer = package.graphs[task.graph]["tasks"].get(output["producerTask"])
        if producer is None:
            return ""
        component = package.components[producer["componentRef"]["name"]]
        outputs = component.get("outputDefinitions", {}).get("parameters", {})
        return outputs.get(output["outputParameterKey"], {}).get("parameterType", "")
    return "STRUCT"  # a task's final status


def outputs_have_their_types(package: Package, backend: Backend) -> Iterator[str]:
    """A graph's output is what a task in it brought, whatever the graph declares: driver/resolve.go: resolveUpstreamParameters.

    (2.5: driver.go). The consumer's driver checks the value against its own parameter, so a wrong declaration shows up there.
    """
    for name, dag in package.graphs.items():
        declared = package.components[name].get("outputDefinitions", {}).get("parameters", {})
        for output, spec in dag.get("outputs", {}).get("parameters", {}).items():
            for selector in selectors_of(spec):
                kind = produced(package, name, selector, "parameters").get("parameterType")
                if kind and kind != declared[output]["parameterType"] and declared[output]["parameterType"] != "LIST":
                    yield f"{name}: output {output!r} is {declared[output]['parameterType']}, but {selector} brings {kind}"


def selectors_of(spec: Any) -> list[tuple[str, str]]:
    """Task and output of each producer of a graph's output parameter or artifact."""
    if "artifactSelectors" in spec:
        return [(one["producerSubtask"], one["outputArtifactKey"]) for one in spec["artifactSelectors"]]
    chosen = [spec["valueFromParameter"]] if "valueFromParameter" in spec else spec["valueFromOneof"]["parameterSelectors"]
    return [(one["producerSubtask"], one["outputParameterKey"]) for one in chosen]


def produced(package: Package, graph: str, selector: tuple[str, str], kind: str) -> Any:
    """What a task of a graph declares of one of its outputs; {} if there is none. `kind` is "parameters" or "artifacts"."""
    task, output = selector
    definition = package.graphs[graph]["tasks"].get(task)
    if definition is None:
        return {}
    component = package.components[definition["componentRef"]["name"]]
    if "dag" in component and output not in component["dag"].get("outputs", {}).get(kind, {}):
        return {}
    return component.get("outputDefinitions", {}).get(kind, {}).get(output, {})
