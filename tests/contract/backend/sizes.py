"""How large and how long things may be, once the backend and Argo have put their own to it."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

from backend.package import ROOT, Package, Task
from pipelines.backends import Backend

ARGUMENT_BYTES = 128 * 1024
"""MAX_ARG_STRLEN of Linux, for one argument or one variable of a process."""
WORKFLOW_BYTES = 1024 * 1024
"""Argo's workflow/packer/packer.go: getMaxWorkflowSize; 3.5 to 4.0."""
OUTPUT_BYTES = 1024
"""A generous guess of a value that only a run knows; ours are counts, labels, titles and addresses."""
TASK_NODES = 5
"""Nodes of a task in Argo's status with its pod's patch: the driver's output, executor, retry, attempt, and one attempt more."""
NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")


def arguments_fit(package: Package, backend: Backend) -> Iterator[str]:
    """driver/driver.go: initPodSpecPatch hands each of these to the launcher as one argument; argocompiler/container.go:
    containerDriverTask hands each of its parameters to the driver in the same way; 2.5 to 2.17."""
    for task in package.pods():
        arguments = {
            "component": task.component,
            "task": task.definition,
            "container": task.container,
            "platform settings": task.settings,
            "executor input": executor_input(package, task),
        }
        arguments |= {f"command[{number}]": text for number, text in enumerate(task.container.get("command", []))}
        for name, value in arguments.items():
            if (size := _size(value)) > ARGUMENT_BYTES:
                yield f"{task}: no process starts: its {name} takes {size} bytes of {ARGUMENT_BYTES}"


def templates_fit(package: Package, backend: Backend) -> Iterator[str]:
    """Argo 3.5's workflow/controller/workflowpod.go: createWorkflowPod puts the template, patch included and once more among its
    inputs, into the variable ARGO_TEMPLATE; 2.5. Argo 3.7 and later move it to a file when it is too large."""
    if backend.number >= (2, 14):
        return
    for task in package.pods():
        if (size := 2 * len(json.dumps(patch_of(package, task)))) > ARGUMENT_BYTES:
            yield f"{task}: no process starts: its template takes {size} bytes of {ARGUMENT_BYTES}"


def workflow_fits(package: Package, backend: Backend) -> Iterator[str]:
    """Argo's workflow/packer/packer.go: compressWorkflow: the spec as it is, the nodes packed, at the run's end; 3.5 to 4.0."""
    spec = workflow_size(package)
    if spec + (nodes := packed_nodes_size(package)) > WORKFLOW_BYTES:
        yield f"run fails: workflow is longer than maximum allowed size: spec {spec} and packed nodes {nodes}"


def workflow_size(package: Package) -> int:
    """About how many bytes of JSON the Workflow has that argocompiler/argo.go: Compile makes."""
    containers = {json.dumps(container, sort_keys=True) for container in package.executors.values()}
    arguments = sum(map(len, containers)) + sum(_size(component) for component in package.components.values())
    arguments += sum(_size(settings) for settings in package.settings.values())
    tasks = sum(2 * _size(task.definition) + 1500 for task in package.tasks())  # a loop's task is there twice
    return arguments + tasks + 20_000  # the templates of drivers and executors


def packed_nodes_size(package: Package) -> int:
    """About how many bytes Argo's status of a finished run has after compression."""
    nodes = []
    for task in package.tasks():
        driver = {"component": task.component, "task": task.definition, "container": task.container, "config": task.settings}
        nodes.append({"id": f"globe-{task}-driver", "inputs": driver})
        patch = json.dumps(patch_of(package, task)) if task.container else ""
        nodes += [{"id": f"globe-{task}-{number}", "patch": patch} for number in range(TASK_NODES)]
    return len(base64.b64encode(gzip.compress(json.dumps(nodes).encode())))


def patch_of(package: Package, task: Task) -> Any:
    """What the driver's patch of a pod carries."""
    return [executor_input(package, task), task.component, task.container]


def executor_input(package: Package, task: Task) -> Any:
    """A task's `ExecutorInput` with the pipeline's default values."""
    values = {name: _value(package, task, source) for name, source in task.needs.items()}
    outputs = task.component.get("outputDefinitions", {})
    artifacts = {
        name: {"uri": "s3://" + "x" * 200, "type": spec["artifactType"]} for name, spec in outputs.get("artifacts", {}).items()
    }
    files = {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in outputs.get("parameters", {})}
    return {"inputs": {"parameterValues": values}, "outputs": {"artifacts": artifacts, "parameters": files}}


def _value(package: Package, task: Task, source: Any) -> Any:
    if "runtimeValue" in source:
        return source["runtimeValue"]["constant"]
    if "componentInputParameter" not in source:
        return "x" * OUTPUT_BYTES
    name = source["componentInputParameter"]
    if task.graph == ROOT:
        return package.spec["root"]["inputDefinitions"]["parameters"].get(name, {}).get("defaultValue", "x" * OUTPUT_BYTES)
    around = next((one for one in package.tasks() if one.component_name == task.graph), None)
    return _value(package, around, around.needs[name]) if around and name in around.needs else "x" * OUTPUT_BYTES


def _size(value: Any) -> int:
    return len((value if isinstance(value, str) else json.dumps(value)).encode())


def names_fit(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/argo.go: Compile names the workflow after the pipeline, Kubernetes puts five characters behind; Argo's
    workflow/validate/validate.go allows 63 (the label workflows.argoproj.io/workflow), and 128 for templates and tasks."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", package.name):
        yield f"run refused: {package.name!r} cannot name a workflow"
    if len(package.name) + len("-") + 5 > 63:
        yield f"its workflows have names cut short: {package.name!r}"
    for task in package.tasks():
        templates = [f"{task.name}-driver", task.component_name, f"exit-hook-{task.graph}-{task.name}"]
        if "parameterIterator" in task.definition:
            templates += [f"{task.component_name}-{task.name}-iterator", f"{task.component_name}-iteration"]
        if backend.number < (2, 14):
            templates.append(f"{task.name}-system-container-executor")
        for name in templates:
            if not NAME.fullmatch(name) or len(name) > 128:
                yield f"{task}: Argo refuses the name {name!r}"
