"""The pod that a backend makes of a task: what its driver reads from the compiled documents, for tests that make pods themselves.

It must not be kinder than the backend. A number where the driver reads a text gives no GPUs; a setting that the version does not
know is dropped, or refuses the whole run.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from backend.package import Task
from pipelines.backends import Backend

Source = Mapping[str, Any]
"""Where a value comes from: componentInputParameter, taskOutputParameter, or runtimeValue."""
CHANNEL = re.compile(r"\$.inputs.parameters\['(.+?)'\]")
QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|m|u|n|k|[KMGTPE]i|[MGTPE])?")
SCRATCH = {
    **{"kfp-launcher": "/kfp-launcher", "gcs-scratch": "/gcs", "s3-scratch": "/s3", "minio-scratch": "/minio"},
    **{"dot-local-scratch": "/.local", "dot-cache-scratch": "/.cache", "dot-config-scratch": "/.config"},
}
"""Folders that every pod gets (compiler/argocompiler/container.go: addContainerExecutorTemplate, 2.5 to 2.17)."""
POLICIES = ("Always", "Never", "IfNotPresent")


class Refused(Exception):
    """The driver, or Kubernetes, does not make this pod."""


def pod_of(
    task: Task,
    inputs: Mapping[str, Any],
    backend: Backend,
    look_up: Callable[[Source], Any] | None = None,
    run_id: str = "",
) -> dict[str, Any]:
    """The pod of a task.

    Stands for driver/driver.go: initPodSpecPatch, driver/k8s.go: extendPodSpecPatch (2.5: both in driver.go), merged onto
    the template of argocompiler/container.go: addContainerExecutorTemplate. The command is the user's: the launcher, which
    runs it, is left out.

    Args:
        task: The task.
        inputs: Its component's input parameters that were resolved for it.
        backend: Whose driver makes it.
        look_up: Gives the value that a source has in the graph around the task, as the driver resolves it: it is asked for
            platform settings that come from an output or an input. By default, they are found among `inputs`: an input of
            the graph by its name, or one of the task's own that comes from the same source; KeyError if there is none.
        run_id: What the label `pipeline/runid` says.

    Returns:
        {"metadata": {"labels", "annotations"}, "spec": {...}} as Kubernetes takes it.

    Raises:
        Refused: The driver stops with an error.
    """
    settings = task.settings
    if not backend.pod_security and "securityContext" in settings:
        if backend.number >= (2, 14):
            raise Refused("argocompiler: failed to unmarshal kubernetes config: unknown field securityContext")
        settings = {key: value for key, value in settings.items() if key not in ("securityContext", "podMetadata")}
    values = as_declared(task, inputs)
    find = look_up or _among_inputs(task, inputs)

    def value(source: Source) -> Any:
        return source["runtimeValue"]["constant"] if "runtimeValue" in source else find(source)

    container = {
        "name": "main",
        "image": resolved(task.container["image"], values),
        "command": [*task.container.get("command", [])],
        "args": [*task.container.get("args", [])],
        "env": _environment(task, settings, value, backend),
        "resources": _resources(task.container.get("resources", {}), values),
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in SCRATCH.items()],
    }
    spec: dict[str, Any] = {"volumes": [{"name": name, "emptyDir": {}} for name in SCRATCH], "containers": [container]}
    for volume, mount in _volumes(settings, value):
        spec["volumes"].append(volume)
        container["volumeMounts"].append(mount)
    if policy := settings.get("imagePullPolicy"):
        if policy not in POLICIES:
            raise Refused(f"unsupported value: {policy}. ImagePullPolicy should be one of {POLICIES}")
        container["imagePullPolicy"] = policy
    if secrets := settings.get("imagePullSecret"):
        spec["imagePullSecrets"] = [{"name": _name(one, "secretName", value)} for one in secrets]
    if selector := settings.get("nodeSelector"):
        spec["nodeSelector"] = _node_selector(selector, value)
    if tolerations := settings.get("tolerations"):
        spec["tolerations"] = _tolerations(tolerations, value)
    if (deadline_s := int(settings.get("activeDeadlineSeconds", 0))) > 0:
        spec["activeDeadlineSeconds"] = deadline_s
    _secure(spec, settings, backend)
    metadata = settings.get("podMetadata", {})
    return {
        "metadata": {
            "labels": {**metadata.get("labels", {}), "pipeline/runid": run_id, "pipelines.kubeflow.org/v2_component": "true"},
            "annotations": {**metadata.get("annotations", {}), "pipelines.kubeflow.org/v2_component": "true"},
        },
        "spec": spec,
    }


def as_declared(task: Task, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Input parameters as the driver hands them on: a STRING becomes a text whatever it was.

    driver/resolve.go: resolveInputs, handleParamTypeValidationAndConversion (2.5: driver.go; the same in 2.5 to 2.17). An
    optional input that was not given is not handed on: the launcher fills in its default, too late for the pod. Inputs that the
    component does not declare, as the SDK adds for resources, stay as they are.

    Raises:
        Refused: A value of another type than its parameter's.
    """
    values = {}
    for name, given in inputs.items():
        declared = task.takes.get(name, {}).get("parameterType", "")
        if declared == "STRING":
            given = as_text(given)
        elif declared and kind_of(given) != declared.split("_")[0]:
            raise Refused(f"input parameter {name!r} type mismatch: expect {declared}, got {kind_of(given)}")
        values[name] = given
    return values


def kind_of(value: Any) -> str:
    """The kind of a JSON value as the driver tells them apart; STRING, NUMBER, BOOLEAN, LIST, STRUCT or NULL."""
    if isinstance(value, bool):
        return "BOOLEAN"
    kinds = {str: "STRING", int: "NUMBER", float: "NUMBER", list: "LIST", dict: "STRUCT", type(None): "NULL"}
    return kinds[type(value)]


def as_text(value: Any) -> str:
    """metadata/converter.go: PbValueToText."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(value)
    return json.dumps(value, separators=(",", ":"))


def resolved(text: str, values: Mapping[str, Any]) -> str:
    """driver/resolve.go (2.5: util.go): resolvePodSpecInputRuntimeParameter. It reads texts only: a number gives "".

    Raises:
        Refused: The parameter was not given to the task.
    """
    match = CHANNEL.search(text)
    if not match:
        return text
    if match[1] not in values:
        raise Refused(f"executorInput did not contain container Image input parameter {match[1]!r}")
    value = values[match[1]]
    return value if isinstance(value, str) else ""


def _resources(resources: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """driver/driver.go: getPodResource and initPodSpecPatch."""
    found: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
    for kind, old, unit in (("Cpu", "cpu", ""), ("Memory", "memory", "G")):
        for side, place in (("Limit", "limits"), ("Request", "requests")):
            if text := resources.get(f"resource{kind}{side}"):
                found[place][kind.lower()] = _quantity(resolved(text, values))
            elif number := resources.get(f"{old}{side}"):
                found[place][kind.lower()] = _quantity(f"{number:g}{unit}")
    accelerator = resources.get("accelerator", {})
    name = resolved(accelerator.get("resourceType", ""), values) or accelerator.get("type", "")
    if accelerator.get("resourceCount"):
        count = resolved(accelerator["resourceCount"], values)
    else:
        count = str(accelerator.get("count", ""))
    if name and count:  # otherwise nothing is set, and nothing is said
        found["limits"][name] = _quantity(count)
    return found


def _quantity(text: str) -> str:
    if not QUANTITY.fullmatch(text):
        raise Refused(f"failed to init podSpecPatch: {text!r} is not a quantity")
    return text


def _environment(task: Task, settings: Mapping[str, Any], value: Callable[[Source], Any], backend: Backend) -> list[Any]:
    """Values go into the pod as they are: no placeholder in them is resolved."""
    found: list[dict[str, Any]] = [
        {"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "KFP_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
    ]
    found += [{"name": one["name"], "value": one.get("value", "")} for one in task.container.get("env", [])]
    for secret in settings.get("secretAsEnv", []):
        for key in secret.get("keyToEnv", []):
            source = {"name": _name(secret, "secretName", value), "key": key["secretKey"]}
            if "optional" in secret and backend.optional_secrets:
                source["optional"] = secret["optional"]
            found.append({"name": key["envVar"], "valueFrom": {"secretKeyRef": source}})
    for field in settings.get("fieldPathAsEnv", []):
        found.append({"name": field["name"], "valueFrom": {"fieldRef": {"fieldPath": field["fieldPath"]}}})
    return found


def _name(setting: Mapping[str, Any], field: str, value: Callable[[Source], Any]) -> str:
    """A name by parameter or as a constant; driver/resolve.go: resolveInputParameterStr."""
    name = value(setting[f"{field}Parameter"]) if f"{field}Parameter" in setting else setting.get(field)
    if not isinstance(name, str) or not name:
        raise Refused(f"{field}: expected a non-empty string, got {name!r}")
    return name


def _volumes(settings: Mapping[str, Any], value: Callable[[Source], Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """driver/k8s.go: makeVolumeMountPatch, and what extendPodSpecPatch does with empty folders."""
    found = []
    for claim in settings.get("pvcMount", []):
        name = value(claim["pvcNameParameter"]) if "pvcNameParameter" in claim else claim.get("constant")
        if not isinstance(name, str) or not name:
            raise Refused(f"failed to resolve pvc name: expected a non-empty string, got {name!r}")
        found.append(
            (
                {"name": name, "persistentVolumeClaim": {"claimName": name}},
                {"name": name, "mountPath": claim["mountPath"]},
            )
        )
    for secret in settings.get("secretAsVolume", []):
        name = _name(secret, "secretName", value)
        source = {"secretName": name, "optional": secret.get("optional", False)}
        found.append(({"name": name, "secret": source}, {"name": name, "mountPath": secret["mountPath"]}))
    for folder in settings.get("emptyDirMounts", []):
        source = {key: folder[key] for key in ("medium", "sizeLimit") if folder.get(key)}
        if "sizeLimit" in source:
            _quantity(source["sizeLimit"])
        found.append(
            (
                {"name": folder["volumeName"], "emptyDir": source},
                {"name": folder["volumeName"], "mountPath": folder["mountPath"]},
            )
        )
    return found


def _node_selector(selector: Mapping[str, Any], value: Callable[[Source], Any]) -> dict[str, str]:
    """driver/resolve.go: resolveK8sJsonParameter. Labels must be texts; a value that is no object selects nothing."""
    if "nodeSelectorJson" not in selector:
        return dict(selector.get("labels", {}))
    labels = value(selector["nodeSelectorJson"])
    if not isinstance(labels, dict):
        return {}
    if not all(isinstance(label, str) for label in labels.values()):
        raise Refused(f"failed to unmarshal k8s Resource json: labels must be texts: {labels}")
    return labels


def _tolerations(tolerations: list[Mapping[str, Any]], value: Callable[[Source], Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in tolerations:
        if "tolerationJson" not in one:
            found.append(dict(one))
            continue
        given = value(one["tolerationJson"])
        if not isinstance(given, dict | list):
            raise Refused("encountered unexpected toleration proto value, must be either struct or list type")
        found += given if isinstance(given, list) else [given]
    return found


def _secure(spec: dict[str, Any], settings: Mapping[str, Any], backend: Backend) -> None:
    """argocompiler/security_context.go: applySecurityContextToExecutorTemplate (2.16 and later; older ones set nothing)."""
    if not backend.pod_security:
        return
    spec["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
    given = settings.get("securityContext", {})
    numbers = {key: int(given[key]) for key in ("runAsUser", "runAsGroup") if key in given}
    flag = {key: given[key] for key in ("runAsNonRoot",) if key in given}
    spec["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        **numbers,
        **flag,
    }


def _among_inputs(task: Task, inputs: Mapping[str, Any]) -> Callable[[Source], Any]:
    """Looks a source up among the task's own inputs: the same source has the same value."""

    def find(source: Source) -> Any:
        if source.get("componentInputParameter") in inputs:
            return inputs[source["componentInputParameter"]]
        for name, origin in task.needs.items():
            if origin == source and name in inputs:
                return inputs[name]
        raise KeyError(f"{task}: none of its inputs comes from {dict(source)}")

    return find
