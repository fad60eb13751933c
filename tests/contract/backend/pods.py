"""What a task's pod is made of: resources, volumes, environment, labels."""

import re
from collections.abc import Iterator

from backend.package import Package, Task
from backend.pod import CHANNEL, QUANTITY, SCRATCH
from backend.values import kind_from
from pipelines.backends import Backend

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123, for names of volumes."""
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
OWN_LABELS = ("pipeline/", "pipelines.kubeflow.org/", "workflows.argoproj.io/")
VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def resources_read_texts(package: Package, backend: Backend) -> Iterator[str]:
    """driver/resolve.go (2.5: util.go): resolvePodSpecInputRuntimeParameter takes GetStringValue(), "" for a number; 2.5 to 2.17.

    driver/driver.go: initPodSpecPatch then sets no limit of accelerators, without a word; getPodResource fails for the others.
    """
    for task in package.pods():
        for place, text in _resolved_texts(task):
            if not (match := CHANNEL.search(text)):
                continue
            source = task.needs.get(match[1])
            kind = kind_from(package, task, source) if source else ""
            declared = task.takes.get(match[1], {}).get("parameterType", kind)
            if source is None:
                yield f"{task}: driver fails: {place}: executorInput did not contain {match[1]!r}"
            elif declared != "STRING":
                outcome = "no accelerator at all" if place.startswith("accelerator") else "driver fails"
                yield f"{task}: {outcome}: {place} reads {match[1]!r} as a text, but it is {declared}"


def _resolved_texts(task: Task) -> Iterator[tuple[str, str]]:
    """The texts of a container in which the driver resolves a parameter, each with its place."""
    yield "image", task.container["image"]
    resources = task.container.get("resources", {})
    for name in ("resourceCpuLimit", "resourceCpuRequest", "resourceMemoryLimit", "resourceMemoryRequest"):
        if name in resources:
            yield name, resources[name]
    for name in ("resourceType", "resourceCount"):
        if name in resources.get("accelerator", {}):
            yield f"accelerator {name}", resources["accelerator"][name]


def quantities_are_quantities(package: Package, backend: Backend) -> Iterator[str]:
    """driver/driver.go: getPodResource (ParseQuantity), driver/k8s.go: extendPodSpecPatch (MustParse panics); 2.5 to 2.17."""
    for task in package.pods():
        named = [(place, text) for place, text in _resolved_texts(task) if place != "image" and "resourceType" not in place]
        named += [("sizeLimit", one["sizeLimit"]) for one in task.settings.get("emptyDirMounts", []) if one.get("sizeLimit")]
        for place, text in named:
            if not CHANNEL.search(text) and not QUANTITY.fullmatch(text):
                yield f"{task}: driver fails: {place} {text!r} is not a quantity"


def volumes_have_names_of_their_own(package: Package, backend: Backend) -> Iterator[str]:
    """driver/k8s.go: makeVolumeMountPatch names a volume after its claim; merged onto the template's by name and mount path.

    A name must be a label (Kubernetes: ValidateVolumes), and a path of the backend's own would replace its folder; 2.5 to 2.17.
    """
    for task in package.pods():
        names, paths = list(SCRATCH), list(SCRATCH.values())
        for claim in task.settings.get("pvcMount", []):
            source = claim.get("pvcNameParameter", {"runtimeValue": {"constant": claim.get("constant", "")}})
            names.append(source.get("runtimeValue", {}).get("constant", f"claim-of-{claim['mountPath']}".replace("/", "-")))
            paths.append(claim["mountPath"])
        for secret in task.settings.get("secretAsVolume", []):
            names.append(secret.get("secretName", f"secret-of-{secret['mountPath']}".replace("/", "-")))  # an output names it
            paths.append(secret["mountPath"])
        for folder in task.settings.get("emptyDirMounts", []):
            names.append(folder["volumeName"])
            paths.append(folder["mountPath"])
        for kind, found in (("volume", names), ("mount path", paths)):
            for twice in {one for one in found if found.count(one) > 1}:
                yield f"{task}: {kind} {twice!r} is there twice, or the backend's own"
        for name in names:
            if not LABEL.fullmatch(name):
                yield f"{task}: pod refused: {name!r} cannot name a volume"


def secrets_may_be_missing(package: Package, backend: Backend) -> Iterator[str]:
    """driver/k8s.go (2.5: driver.go): extendPodSpecPatch: a variable's secret is needed unless it is optional; 2.5 to 2.17.

    The kubelet then waits for it, and for each of its keys: an empty secret does not do. A volume's may be missing in 2.5, too.
    """
    for task in package.pods():
        for kind in ("secretAsEnv", "secretAsVolume"):
            for secret in task.settings.get(kind, []):
                if not secret.get("optional"):
                    name = secret.get("secretName", "that an output names")
                    yield f"{task}: waits as long as secret {name}, or one of its keys, is missing"


def variables_are_plain(package: Package, backend: Backend) -> Iterator[str]:
    """driver/driver.go: initPodSpecPatch copies the environment as it is: no placeholder in it is ever resolved; 2.5 to 2.17."""
    for task in package.pods():
        for one in task.container.get("env", []):
            if not VARIABLE.fullmatch(one["name"]):
                yield f"{task}: pod refused: {one['name']!r} cannot name a variable"
            if "{{" in one.get("value", ""):
                yield f"{task}: {one['name']} stays {one['value']!r}: nothing is resolved there"


def labels_are_labels(package: Package, backend: Backend) -> Iterator[str]:
    """Kubernetes: ValidateLabels, for argocompiler/container.go: extendPodMetadata; labels of the backend's own stay its own."""
    for task in package.pods():
        for name, value in task.settings.get("podMetadata", {}).get("labels", {}).items():
            if not LABEL_NAME.fullmatch(name) or not LABEL_VALUE.fullmatch(value):
                yield f"{task}: pod refused: label {name}={value}"
            if name.startswith(OWN_LABELS):
                yield f"{task}: label {name} is the backend's own"


def users_agree(package: Package, backend: Backend) -> Iterator[str]:
    """driver/k8s.go: extendPodSpecPatch sets them as they are (2.16, 2.17); the kubelet starts no root that must not be one."""
    for task in package.pods():
        security = task.settings.get("securityContext", {})
        if security.get("runAsNonRoot") and int(security.get("runAsUser", 1)) == 0:
            yield f"{task}: pod refused: it must not be root, and is"
