"""The Deployment and the Service of one server: manifests/serving/base, filled in for a run, a model and a cluster."""

import copy
import hashlib
import math
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from globe.errors import GlobeError, InputError
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import validate
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.place import Place
from globe.serving.recipe import ServingRecipe
from globe.storage import S3_VARIABLES, SCRATCH_VARIABLE, is_mirrored
from globe.storage.uris import scratch

PORT = 8000
RUN_LABEL, MODEL_LABEL, QUEUE_LABEL = "globe.dev/run", "globe.dev/model", "kueue.x-k8s.io/queue-name"
PART_OF = {"app.kubernetes.io/part-of": "globe"}
LABEL_LENGTH = 63
MAX_DRAIN_S = 15
"""How long a service may take to forget a pod that is about to end."""
ENGINE_END_S = 30
"""How long vLLM's processes may take to end after the last answer."""
PROBE_PERIOD_S = 5
SERVER, FETCHER = "vllm", "fetch-weights"
"""Containers of a server's pod."""
HOST_PORTS = range(20_000, 30_000)

Manifest = dict[str, Any]


class ClusterServing(BaseModel):
    """Where in a cluster servers run, and with what: the profile's word, from a dict that travels with the run."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1)
    """Reference of the serve image."""
    fetch_image: str = ""
    """Image with `globe` and an S3 client, needed for weights on S3: the evaluate image. The serve image has no such client."""
    namespace: str = ""
    """Namespace for the servers; empty for the stage's own."""
    claim: str = "globe-store"
    """Claim with the weights; servers read it only. Empty where everything lies on S3."""
    mount_path: str = Field(default="/mnt/globe", pattern="^/.")
    """Where stages and servers alike see the claim."""
    gpu_resource: str = "nvidia.com/gpu"
    cpu: str = ""
    """CPUs of a server; empty for the base's. So with memory and shared memory."""
    memory: str = ""
    shm: str = ""
    image_pull_secrets: list[str] = []
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    queue: str = ""
    """Kueue's local queue; empty without Kueue."""
    secrets: dict[str, str] = dict.fromkeys(S3_VARIABLES, "globe-s3")
    """Secret by environment variable, which is its key too. What fetches weights from S3 gets those of S3; the server none."""
    host_network: bool = False
    """Use the node's own network and address, for a cluster that has no network between pods."""
    schedule_timeout_s: PositiveFloat = 3600.0
    """How long a server may wait for room on a node; starting then has the recipe's time."""
    check_nodes: bool = True
    """For the run's first task."""


def cluster_serving(place: Place) -> ClusterServing:
    """The cluster settings of a place, validated.

    Raises:
        InputError: An unknown or missing field, a wrong type, or no name for the run.
    """
    if not place.run:
        raise InputError("run: a run needs a name, to mark what it makes in the cluster")
    return validate(ClusterServing, dict(place.cluster), "cluster settings")


def server_name(run: str, model: str) -> str:
    """Name of a model's Deployment and Service: fit for DNS, always the same, another for another run or model."""
    readable = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:40].strip("-")
    return "-".join(part for part in ("globe", readable, _digest(f"{run}\0{model}")) if part)


def run_labels(run: str, model: str = "") -> dict[str, str]:
    """Labels by which everything of a run, or of one model of it, is found."""
    labels = PART_OF | {RUN_LABEL: label_value(run)}
    return labels | {MODEL_LABEL: label_value(model)} if model else labels


def label_value(text: str) -> str:
    """A text as a label's value: unchanged where Kubernetes allows it, else told from others by a digest."""
    fit = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")
    if fit == text and len(fit) <= LABEL_LENGTH:
        return fit
    return f"{fit[:40].rstrip('-_.')}-{_digest(text)}".lstrip("-")


def host_port(name: str) -> int:
    """Port of a server that uses its node's network: its own, so that two of them fit on a node."""
    return HOST_PORTS[int(_digest(name), 16) % len(HOST_PORTS)]


def grace_s(recipe: ServingRecipe) -> int:
    """Seconds a server may take to end: the service forgets it, it answers what it was asked, its processes end."""
    return _drain_s(recipe) + recipe.shutdown_timeout_s + ENGINE_END_S


def server_manifests(
    model: str, checkpoint: Checkpoint, recipe: ServingRecipe, place: Place, settings: ClusterServing
) -> tuple[Manifest, Manifest]:
    """Fill in the base for one server.

    Args:
        model: The model name it is served under.
        checkpoint: Its weights.
        recipe: Serving settings.
        place: Run, GPUs and nodes.
        settings: The cluster's part.

    Returns:
        Deployment and Service, ready to apply.

    Raises:
        InputError: GPUs that the recipe does not use, or weights that a pod cannot see.
    """
    weights = Path(checkpoint.uri)  # not `path`, which would fetch them to this machine
    mirrored = is_mirrored(weights)
    _check(weights, mirrored, recipe, place, settings)
    name = server_name(place.run, model)
    port = host_port(name) if settings.host_network else PORT
    deployment, service = base()
    _mark(deployment, service, name, run_labels(place.run, model))
    if settings.queue:
        deployment["metadata"]["labels"][QUEUE_LABEL] = settings.queue
    deployment["spec"]["progressDeadlineSeconds"] = math.ceil(recipe.startup_timeout_s + settings.schedule_timeout_s)
    pod = deployment["spec"]["template"]["spec"]
    _fill_pod(pod, recipe, place, settings)
    container = pod["containers"][0]
    container["args"] = vllm_arguments(weights, model, "0.0.0.0", port, recipe)
    _fill_container(container, recipe, place, settings, port)
    if not settings.claim:
        _remove_claim(pod)
    if mirrored:
        _fetch_first(pod, weights, settings)
    return deployment, service


def base() -> tuple[Manifest, Manifest]:
    """Deployment and Service as in manifests/serving/base; yours to change."""
    return copy.deepcopy(_read_base())


@cache
def _read_base() -> tuple[Manifest, Manifest]:
    packaged = Path(sys.prefix) / "share" / "globe" / "serving" / "base"
    checkout = Path(__file__).parents[3] / "manifests" / "serving" / "base"
    for folder in (checkout, packaged):
        if (folder / "deployment.yaml").is_file():
            deployment, service = (yaml.safe_load((folder / f"{kind}.yaml").read_text()) for kind in ("deployment", "service"))
            return deployment, service
    raise GlobeError(f"the base manifests are neither in {checkout} nor in {packaged}; this installation is incomplete")


def _check(weights: Path, mirrored: bool, recipe: ServingRecipe, place: Place, settings: ClusterServing) -> None:
    if place.gpus and place.gpus != recipe.tensor_parallel_size:
        raise InputError(
            f"serving_gpus: {place.gpus} GPUs are asked for, but the serving recipe uses {recipe.tensor_parallel_size}; "
            f'give overrides {{"serving.tensor_parallel_size": {place.gpus}}} or the other number'
        )
    if mirrored and not settings.fetch_image:
        raise InputError(
            f"cluster settings: fetch_image: {weights} lies on S3, and the serve image cannot fetch it; name the evaluate image"
        )
    if not mirrored and not (settings.claim and weights.is_relative_to(settings.mount_path)):
        seen = f"what lies below {settings.mount_path}, on claim {settings.claim}" if settings.claim else "what lies on S3"
        raise InputError(f"{weights}: a server sees only {seen}; put the model there, or correct the cluster settings")


def _mark(deployment: Manifest, service: Manifest, name: str, labels: dict[str, str]) -> None:
    """Name both, and label them and their pods so that the service, and a tear-down, find what is theirs and no more."""
    chosen = {key: labels[key] for key in (RUN_LABEL, MODEL_LABEL)}
    for manifest in (deployment, service):
        manifest["metadata"]["name"] = name
        manifest["metadata"]["labels"] |= labels
    service["spec"]["selector"] |= chosen
    deployment["spec"]["selector"]["matchLabels"] |= chosen
    deployment["spec"]["template"]["metadata"]["labels"] |= labels


def _fill_pod(pod: Manifest, recipe: ServingRecipe, place: Place, settings: ClusterServing) -> None:
    pod["terminationGracePeriodSeconds"] = grace_s(recipe)
    pod["tolerations"] = [dict(toleration) for toleration in place.tolerations] or pod["tolerations"]
    if place.nodes:
        pod["nodeSelector"] = dict(place.nodes)
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if settings.host_network:
        pod["hostNetwork"] = True
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    volumes["store"]["persistentVolumeClaim"]["claimName"] = settings.claim
    if settings.shm:
        volumes["shm"]["emptyDir"]["sizeLimit"] = settings.shm


def _fill_container(container: Manifest, recipe: ServingRecipe, place: Place, settings: ClusterServing, port: int) -> None:
    container["image"] = settings.image
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    container["env"] = [{"name": name, "value": value} for name, value in vllm_environment(recipe).items()]
    container["ports"][0] |= {"containerPort": port} | ({"hostPort": port} if settings.host_network else {})
    container["startupProbe"]["failureThreshold"] = math.ceil(recipe.startup_timeout_s / PROBE_PERIOD_S)
    container["lifecycle"]["preStop"]["exec"]["command"] = ["sleep", str(_drain_s(recipe))]
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    limits.pop("nvidia.com/gpu")
    if place.gpus:
        limits[settings.gpu_resource] = str(place.gpus)
    if settings.cpu:
        requests["cpu"] = settings.cpu
    if settings.memory:
        requests["memory"] = limits["memory"] = settings.memory
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    mounts["store"]["mountPath"] = settings.mount_path


def _remove_claim(pod: Manifest) -> None:
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "store"]
    for container in pod["containers"]:
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "store"]


def _fetch_first(pod: Manifest, weights: Path, settings: ClusterServing) -> None:
    """Fetch the weights of a store on S3 before the server starts, to the path that they have on every machine."""
    server = pod["containers"][0]
    mirror = {"name": "weights", "mountPath": str(scratch())}
    keys = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": settings.secrets[name], "key": name, "optional": True}}}
        for name in S3_VARIABLES
        if name in settings.secrets
    ]
    fetcher = {
        "name": FETCHER,
        "image": settings.fetch_image,
        "command": ["python", "-m", "globe.models", str(weights)],
        "env": [*keys, {"name": SCRATCH_VARIABLE, "value": str(scratch())}],
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
        "securityContext": server["securityContext"],
        "volumeMounts": [mirror, {"name": "tmp", "mountPath": "/tmp"}],
    }
    if "imagePullPolicy" in server:
        fetcher["imagePullPolicy"] = server["imagePullPolicy"]
    pod["initContainers"] = [fetcher]
    pod["volumes"].append({"name": "weights", "emptyDir": {}})
    server["volumeMounts"].append(mirror | {"readOnly": True})


def _drain_s(recipe: ServingRecipe) -> int:
    return min(MAX_DRAIN_S, recipe.shutdown_timeout_s)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
