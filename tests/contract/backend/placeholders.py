"""Braces and dollars: what the driver, the launcher, Argo and Kubernetes each put in their place."""

import json
import re
from collections.abc import Iterator

from backend.package import Package, Task
from pipelines.backends import Backend

BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
IN_A_COMMAND = re.compile(
    r"\$\.(inputs\.parameters\['(?P<parameter>[^']+)'\]|(?P<side>inputs|outputs)\.artifacts\['(?P<artifact>[^']+)'\]\.(uri|path)"
    r"|outputs\.parameters\['(?P<output>[^']+)'\]\.output_file|outputs\.output_file|outputs\.output_metadata_uri)"
)
OF_A_RUN = {
    "$.pipeline_job_name": (2, 0),
    "$.pipeline_job_resource_name": (2, 0),
    "$.pipeline_job_uuid": (2, 0),
    "$.pipeline_task_name": (2, 0),
    "$.pipeline_task_uuid": (2, 0),
    "$.pipeline_job_create_time_utc": (2, 17),
    "$.pipeline_job_schedule_time_utc": (2, 17),
}
"""What a constant may be, and since when."""
EXPANDED = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")


def commands_hold_known_placeholders(package: Package, backend: Backend) -> Iterator[str]:
    """component/launcher_v2.go: getPlaceholders, for commands and arguments; 2.5 to 2.17.

    Argo's util/template would try any other pair of braces as a tag, stops at one without an end, and evaluates {{=...}}.
    """
    for task in package.pods():
        for text in _command(task):
            for tag in BRACES.findall(text):
                if why := _unknown(task, tag):
                    yield f"{task}: {{{{{tag}}}}}: {why}"
            if "{{" in BRACES.sub("", text):
                yield f"{task}: Argo refuses braces that do not end: {text[text.rindex('{{') :][:40]!r}"


def _unknown(task: Task, tag: str) -> str:
    if tag == "$":
        return ""
    match = IN_A_COMMAND.fullmatch(tag)
    if not match:
        return "neither the launcher nor the driver knows it, Argo may"
    outputs = task.component.get("outputDefinitions", {})
    inputs = task.component.get("inputDefinitions", {})
    if (name := match["parameter"]) and name not in task.takes and name not in task.needs:
        return "no such input"
    if (name := match["artifact"]) and name not in (inputs if match["side"] == "inputs" else outputs).get("artifacts", {}):
        return "no such artifact"
    if (name := match["output"]) and name not in outputs.get("parameters", {}):
        return "no such output"
    return ""


def commands_name_given_parameters(package: Package, backend: Backend) -> Iterator[str]:
    """driver/util.go: resolveSinglePlaceholder: an input that was not given fails the driver, default or not; 2.17."""
    for task in package.pods():
        for text in _command(task):
            if backend.number < (2, 17) or "$.outputs" in text:
                continue
            for name in re.findall(r"\{\{\$\.inputs\.parameters\['(.+?)']}}", text):
                if name not in task.needs:
                    yield f"{task}: driver fails: parameter {name!r} not found in executor input"


def constants_are_whole_placeholders(package: Package, backend: Backend) -> Iterator[str]:
    """driver/resolve.go (2.5: driver.go): resolveInputParameter replaces a constant that is one placeholder, and no part of one.

    The SDK's own constants for resources are inputs that no component declares: driver/resolve.go:
    resolvePodSpecInputRuntimeParameter reads those in their place.
    """
    for task in package.tasks():
        named = [(name, source) for name, source in task.needs.items() if name in task.takes]
        named += [("a platform setting", source) for source in _constants(task.settings)]
        for name, source in named:
            text = source.get("runtimeValue", {}).get("constant")
            for tag in BRACES.findall(text if isinstance(text, str) else json.dumps(text)):
                if text != f"{{{{{tag}}}}}" or tag not in OF_A_RUN:
                    yield f"{task}: {name} stays {text!r}: {{{{{tag}}}}} is not resolved there"
                elif OF_A_RUN[tag] > backend.number:
                    yield f"{task}: {name} stays {text!r} before KFP {OF_A_RUN[tag][0]}.{OF_A_RUN[tag][1]}"


def _constants(settings: object) -> Iterator[dict]:
    if isinstance(settings, dict) and "runtimeValue" in settings:
        yield settings
    elif isinstance(settings, dict | list):
        for part in settings.values() if isinstance(settings, dict) else settings:
            yield from _constants(part)


def commands_hold_no_dollars_of_kubernetes(package: Package, backend: Backend) -> Iterator[str]:
    """Kubernetes' expansion of a container's command: $$ becomes $, and $(NAME) the variable's value if there is one."""
    for task in package.pods():
        variables = {one["name"] for one in task.container.get("env", [])} | {"KFP_POD_NAME", "KFP_POD_UID"}
        variables |= {key["envVar"] for secret in task.settings.get("secretAsEnv", []) for key in secret.get("keyToEnv", [])}
        variables |= {one["name"] for one in task.settings.get("fieldPathAsEnv", [])}
        for text in _command(task):
            for match in EXPANDED.finditer(text):
                if match[1] is None or match[1] in variables:
                    yield f"{task}: Kubernetes replaces {match[0]!r} in its command"


def _command(task: Task) -> list[str]:
    return [*task.container.get("command", []), *task.container.get("args", [])]
