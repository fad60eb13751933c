"""What holds a graph together: producers, groups' outputs, conditions, the exit task, names."""

import json
import re
from collections.abc import Iterator
from typing import Any

from backend.package import ROOT, Package, Task
from backend.values import produced, selectors_of
from pipelines.backends import Backend

AT_THE_END = "ALL_UPSTREAM_TASKS_COMPLETED"
COMPARED = re.compile(r"parameter_values\['([^']+)'\]\)? *(?:[=!<>]=?) *('[^']*'|true|false|-?[\d.]+)")
LITERALS = {"'": "STRING", "t": "BOOLEAN", "f": "BOOLEAN"}


def sources_exist(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/dag.go: addImplicitDependencies; driver/resolve.go (2.5: driver.go): resolveInputParameter; 2.5 to 2.17.

    The sources of platform settings (claims, secrets, node labels, tolerations) are read in the same graph.
    """
    for task in package.tasks():
        sources = [*task.needs.values(), *task.needs_artifacts.values(), *platform_sources(task.settings)]
        for source in sources:
            if not _exists(package, task, source):
                yield f"{task}: run refused, or its driver fails: nothing brings {json.dumps(source)}"


def platform_sources(settings: Any) -> Iterator[Any]:
    """Every input parameter spec anywhere in a task's platform settings."""
    parts = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else []
    if isinstance(settings, dict) and {"taskOutputParameter", "componentInputParameter"} & set(settings):
        yield settings
        return
    for part in parts:
        yield from platform_sources(part)


def _exists(package: Package, task: Task, source: Any) -> bool:
    around = package.components[task.graph].get("inputDefinitions", {})
    if "taskOutputParameter" in source:
        output = source["taskOutputParameter"]
        return bool(produced(package, task.graph, (output["producerTask"], output["outputParameterKey"]), "parameters"))
    if "taskOutputArtifact" in source:
        output = source["taskOutputArtifact"]
        return bool(produced(package, task.graph, (output["producerTask"], output["outputArtifactKey"]), "artifacts"))
    if "componentInputParameter" in source:
        return source["componentInputParameter"] in around.get("parameters", {})
    if "componentInputArtifact" in source:
        return source["componentInputArtifact"] in around.get("artifacts", {})
    return True


def tasks_wait_for_tasks_that_can_end(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/dag.go: depends; Argo's workflow/validate/validate.go: validateDAG: no such task, or a circle; 3.5 to 4.0."""
    for task in package.tasks():
        for before in task.definition.get("dependentTasks", []):
            if before not in package.graphs[task.graph]["tasks"]:
                yield f"{task}: run refused: it depends on {before!r}, which does not exist"
        if task.name in _before(package, task.graph, task.name):
            yield f"{task}: run refused: it waits for itself"


def settings_wait_for_what_they_read(package: Package, backend: Backend) -> Iterator[str]:
    """A platform setting makes no dependency (argocompiler/dag.go: addImplicitDependencies reads inputs only); 2.5 to 2.17."""
    for task in package.tasks():
        before = _before(package, task.graph, task.name)
        for source in platform_sources(task.settings):
            producer = source.get("taskOutputParameter", {}).get("producerTask")
            if producer and producer not in before:
                yield f"{task}: driver fails: it reads {producer!r} without waiting for it"


def _before(package: Package, graph: str, name: str) -> set[str]:
    """The tasks that have ended when a task starts."""
    tasks, found, open_ends = package.graphs[graph]["tasks"], set(), [name]
    while open_ends:
        definition = tasks.get(open_ends.pop(), {})
        inputs = definition.get("inputs", {})
        sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
        kinds = ("taskOutputParameter", "taskOutputArtifact")
        outputs = [source[kind]["producerTask"] for source in sources for kind in kinds if kind in source]
        new = {*definition.get("dependentTasks", []), *outputs} - found
        found |= new
        open_ends += new
    return found


def outputs_have_producers(package: Package, backend: Backend) -> Iterator[str]:
    """Every task that a group's output or a OneOf names: driver/resolve.go: GetProducerTask (2.5: resolveUpstreamParameters)."""
    for name, output, kind, selectors in _outputs(package):
        for selector in selectors:
            if not produced(package, name, selector, kind):
                yield f"{name}: consumers fail: output {output!r} comes from {selector}, which does not exist"


def one_of_brings_one_type(package: Package, backend: Backend) -> Iterator[str]:
    """driver/resolve.go: GetProducerTask takes the first branch that ended well: its type is what consumers get; 2.5 to 2.17."""
    for name, output, kind, selectors in _outputs(package):
        brought = [produced(package, name, selector, kind) for selector in selectors]
        types = {json.dumps(one.get("parameterType") or one.get("artifactType"), sort_keys=True) for one in brought if one}
        if len(types) > 1:
            yield f"{name}: output {output!r} is of another type in each branch: {sorted(types)}"


def one_of_artifacts_need_2_17(package: Package, backend: Backend) -> Iterator[str]:
    """driver/resolve.go: GetProducerTask takes the last branch, run or not, before 2.17 (2.5: resolveUpstreamArtifacts)."""
    for name, output, kind, selectors in _outputs(package):
        if kind == "artifacts" and len(selectors) > 1 and backend.number < (2, 17):
            yield f"{name}: consumers fail when an earlier branch ran: artifact {output!r} is always taken from {selectors[-1]}"


def _outputs(package: Package) -> Iterator[tuple[str, str, str, list[tuple[str, str]]]]:
    """Each output of each graph: the graph, the output, "parameters" or "artifacts", and who may bring it."""
    for name, dag in package.graphs.items():
        for kind in ("parameters", "artifacts"):
            for output, spec in dag.get("outputs", {}).get(kind, {}).items():
                yield name, output, kind, selectors_of(spec)


def loops_are_gathered_where_they_can_be(package: Package, backend: Backend) -> Iterator[str]:
    """driver/driver.go: getDAGTasks skips loops in 2.5, so nothing that they brought is found; CollectInputs came with 2.14."""
    for task in package.tasks():
        for source in [*task.needs.values(), *task.needs_artifacts.values()]:
            output = source.get("taskOutputParameter") or source.get("taskOutputArtifact") or {}
            producer = package.graphs[task.graph]["tasks"].get(output.get("producerTask"), {})
            if "parameterIterator" in producer and backend.number < (2, 14):
                yield f"{task}: driver fails: cannot find what loop {output['producerTask']!r} brought"


def names_are_keys_where_they_are_looked_up(package: Package, backend: Backend) -> Iterator[str]:
    """driver/driver.go: DAG, Container before 2.14: a task is recorded under its name in the UI, and looked up by its key.

    2.14 and 2.15 (argocompiler/dag.go: iterationItemTask, driver/dag.go: DAG) still do that with loops.
    """
    for task in package.tasks():
        looped = "parameterIterator" in task.definition
        old = backend.number < ((2, 16) if looped else (2, 14))
        if old and task.definition["taskInfo"]["name"] != task.name:
            yield f"{task}: consumers fail: it is recorded as {task.definition['taskInfo']['name']!r} and looked up by its key"


def conditions_can_be_decided(package: Package, backend: Backend) -> Iterator[str]:
    """expression/expression.go: Condition (CEL); 2.5 to 2.17: a missing key fails the driver, another type is never equal."""
    for task in package.tasks():
        condition = task.definition.get("triggerPolicy", {}).get("condition", "")
        for name in re.findall(r"parameter_values\['([^']+)'\]", condition):
            if name not in task.needs:
                yield f"{task}: driver fails: no such key: {name}, in {condition}"
        for name, literal in COMPARED.findall(condition):
            declared = task.takes.get(name, {}).get("parameterType", "")
            if declared.split("_")[0] != LITERALS.get(literal[0], "NUMBER"):
                yield f"{task}: never true: {name} is {declared}, in {condition}"


def the_exit_task_waits_for_groups_alone(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/dag.go: DAG makes the exit task a hook of every task that it depends on; inputs make dependencies, too."""
    for task in package.tasks():
        if task.definition.get("triggerPolicy", {}).get("strategy") != AT_THE_END:
            continue
        outputs = [
            source["taskOutputParameter"]["producerTask"] for source in task.needs.values() if "taskOutputParameter" in source
        ]
        tasks = package.graphs[task.graph]["tasks"]
        for before in {*task.definition.get("dependentTasks", []), *outputs}:
            if "dag" not in package.components[tasks[before]["componentRef"]["name"]]:
                yield f"{task}: it runs as soon as {before!r} has ended, and again"
        for name, source in task.needs.items():
            if "taskFinalStatus" in source and backend.number < (2, 14):
                yield f"{task}: run refused: task final status not supported yet ({name})"


def equal_containers_have_equal_components(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/argo.go: saveComponentSpec keeps components by the digest of their container: the first one's holds."""
    first: dict[str, tuple[str, str]] = {}
    for name, component in package.components.items():
        if label := component.get("executorLabel"):
            container = json.dumps(package.executors[label], sort_keys=True)
            told = json.dumps({key: value for key, value in component.items() if key != "executorLabel"}, sort_keys=True)
            known, other = first.setdefault(container, (told, name))
            if known != told:
                yield f"{name}: it is run with the inputs and outputs of {other}, whose container is the same"


def labels_reach_their_pods(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/container.go: addContainerExecutorTemplate before 2.14: one template, with one task's labels, for all tasks.

    Only tasks with retries in the root's graph have a template of their own.
    """
    if backend.number >= (2, 14):
        return
    shared = [task for task in package.pods() if task.graph != ROOT or "retryPolicy" not in task.definition]
    found = {json.dumps(task.settings.get("podMetadata", {}), sort_keys=True) for task in shared}
    if len(found) > 1:
        yield f"all of {len(shared)} tasks get the pod labels of one of them: {sorted(found)}"


def retries_are_seen(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/container.go: getTaskRetryPolicySpec before 2.14 looks into the root's graph alone."""
    for task in package.tasks():
        if "retryPolicy" in task.definition and task.graph != ROOT and backend.number < (2, 14):
            yield f"{task}: its retries are skipped without a word"
