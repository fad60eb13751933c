"""The Deployment and the Service of one server: manifests/serving/engine, filled in for a run, a model and a cluster."""

import hashlib
import math
import os
import re
from pathlib import Path

from globe.errors import InputError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import QUEUE_LABEL, Cluster, Place
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import fingerprint, guarded, model_digest, stored_key
from globe.serving.templates import Manifest, engine
from globe.storage import S3_VARIABLES, SCRATCH_VARIABLE, address_of, is_mirrored
from globe.storage.uris import scratch

PORT = 8000
RUN_LABEL, MODEL_LABEL = "globe.dev/run", "globe.dev/model"
HOME_LABEL = "globe.dev/runs-in"
"""Namespace of the run that made a server, where its Workflow is. A server without it was not made by a run's pod."""
PART_OF = {"app.kubernetes.io/part-of": "globe"}
LABEL_LENGTH = 63
MAX_DRAIN_S = 15
"""How long a service may take to forget a pod that is about to end."""
ENGINE_END_S = 30
"""How long vLLM's processes may take to end after the last answer."""
PROBE_PERIOD_S = 5
FETCHER, KEY_FETCHER = "fetch-weights", "fetch-key"
"""Containers that run before the server in its pod, where weights or key lie on S3."""
FETCHES = {"globe.dev/fetches-weights": "true"}
"""Label of the pods that have one of them: a network policy lets only these out."""
KEY_ANNOTATION = "globe.dev/key"
KEY_FOLDER = "/globe-key"
STORE = "store"
"""Name of the claim's volume."""
HOST_PORTS = range(20_000, 30_000)


def cluster_of(place: Place) -> Cluster:
    """The cluster settings of a place, with what servers cannot do without.

    Raises:
        InputError: The run has no name, or no image is given.
    """
    if not place.run:
        raise InputError("run: a run needs a name, to label what it creates in the cluster")
    if not place.cluster or not place.cluster.server_image:
        raise InputError("cluster settings: server_image: name the image of the servers, as `python -m pipelines compile` does")
    return place.cluster


def server_name(run: str, model: str) -> str:
    """Name of a model's Deployment and Service: valid in DNS, always the same, different for another run or model."""
    readable = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:40].strip("-")
    return "-".join(part for part in ("globe", readable, _digest(f"{run}\0{model}")) if part)


def run_labels(run: str, model: str = "") -> dict[str, str]:
    """Labels that find everything of a run, or of one of its models."""
    labels = PART_OF | {RUN_LABEL: label_value(run)}
    return labels | {MODEL_LABEL: label_value(model)} if model else labels


def label_value(text: str) -> str:
    """A text as a label's value: unchanged where Kubernetes allows it, else with a digest that tells it from others."""
    fit = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")
    if fit == text and len(fit) <= LABEL_LENGTH:
        return fit
    return f"{fit[:40].rstrip('-_.')}-{_digest(text)}".lstrip("-")


def s3_environment(cluster: Cluster) -> list[Manifest]:
    """What a container that fetches from S3 takes from the secrets of the cluster's settings."""
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name, "optional": True}}}
        for name, secret in cluster.secret_of("serving").items()
        if name in S3_VARIABLES
    ]


def host_port(name: str) -> int:
    """Port of a server on its node's network: different for each, so that two of them fit on one node."""
    return HOST_PORTS[int(_digest(name), 16) % len(HOST_PORTS)]


def grace_s(recipe: ServingRecipe) -> int:
    """Seconds a server may take to end: the service forgets it, it answers what it was asked, its processes end."""
    return _drain_s(recipe) + recipe.shutdown_timeout_s + ENGINE_END_S


def place_pod(pod: Manifest, recipe: ServingRecipe, place: Place, cluster: Cluster) -> None:
    """Say in a server's pod what runs it, on which nodes, and what it gets there.

    A run's own servers and a released model's pods are placed by this alone: where the ones found room, the others do.

    Args:
        pod: A pod's specification whose first container is the engine; changed in place.
        recipe: Serving settings.
        place: GPUs, nodes and tolerations; with none of the last, the pod tolerates what the manifest says.
        cluster: Images and sizes.

    Raises:
        InputError: GPUs that the recipe does not use.
    """
    if place.gpus and place.gpus != recipe.tensor_parallel_size:
        raise InputError(
            f"serving_gpus: {place.gpus} GPUs are asked for, but the serving recipe uses {recipe.tensor_parallel_size}; "
            f'give overrides {{"serving.tensor_parallel_size": {place.gpus}}} or the other number'
        )
    pod["tolerations"] = [dict(toleration) for toleration in place.tolerations] or pod["tolerations"]
    if place.nodes:
        pod["nodeSelector"] = dict(place.nodes)
    if cluster.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in cluster.image_pull_secrets]
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        container["image"] = cluster.server_image
        if cluster.server_image_pull_policy:
            container["imagePullPolicy"] = cluster.server_image_pull_policy
    (shm,) = [volume for volume in pod["volumes"] if volume["name"] == "shm"]
    shm["emptyDir"]["sizeLimit"] = cluster.server_shm
    requests, limits = (pod["containers"][0]["resources"][part] for part in ("requests", "limits"))
    limits.pop("nvidia.com/gpu")
    if place.gpus:
        limits[cluster.gpu_resource] = str(place.gpus)
    requests["cpu"] = cluster.server_cpu
    requests["memory"] = limits["memory"] = cluster.server_memory


def server_manifests(
    model: str, checkpoint: Checkpoint, recipe: ServingRecipe, place: Place, key: str
) -> tuple[Manifest, Manifest]:
    """Fill in the base for one server.

    Args:
        model: The model name it is served under.
        checkpoint: Its weights.
        recipe: Serving settings.
        place: Run, GPUs, nodes, cluster and store.
        key: The server's key, of which only a fingerprint is in what is made; it lies where `stored_key` says.

    Returns:
        Deployment and Service, ready to apply.

    Raises:
        InputError: GPUs that the recipe does not use, weights or a store that a pod cannot see, or as `cluster_of`.
    """
    cluster = cluster_of(place)
    weights = Path(checkpoint.uri)  # not `path`, which would fetch them to this machine
    mirrored = is_mirrored(weights)
    _check(weights, mirrored, place, cluster)
    name = server_name(place.run, model)
    port = host_port(name) if cluster.host_network else PORT
    deployment, service = base()
    _mark(deployment, service, name, run_labels(place.run, model))
    if cluster.queue:
        deployment["metadata"]["labels"][QUEUE_LABEL] = cluster.queue
    deployment["spec"]["progressDeadlineSeconds"] = math.ceil(recipe.startup_timeout_s + cluster.server_schedule_timeout_s)
    pod = deployment["spec"]["template"]["spec"]
    place_pod(pod, recipe, place, cluster)
    _fill_pod(pod, recipe, cluster)
    container = pod["containers"][0]
    container["args"] = vllm_arguments(weights, model, "0.0.0.0", port, recipe)
    _fill_container(container, recipe, cluster, port)
    _remove_mounts_of_claim(pod)
    if mirrored:
        _fetch_weights(pod, weights, cluster)
    else:
        _mount(container, cluster, _all_of(weights))
    _give_key(pod, stored_key(place.store, place.run, model), model_digest(checkpoint), cluster)
    if not any(mount["name"] == STORE for mount in container["volumeMounts"]):
        pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != STORE]
    template = deployment["spec"]["template"]["metadata"]
    template["annotations"] = {KEY_ANNOTATION: fingerprint(key)}
    template["labels"] |= FETCHES if "initContainers" in pod else {}
    return deployment, service


def base() -> tuple[Manifest, Manifest]:
    """Deployment and Service as in manifests/serving/engine; a copy that the caller may change."""
    return engine()


def _check(weights: Path, mirrored: bool, place: Place, cluster: Cluster) -> None:
    fetched = weights if mirrored else place.store if address_of(place.store) else ""
    if fetched and not cluster.fetch_image:
        raise InputError(
            f"cluster settings: fetch_image: {fetched} lies on S3, and the serve image cannot fetch it; name the evaluate image"
        )


def _mark(deployment: Manifest, service: Manifest, name: str, labels: dict[str, str]) -> None:
    """Name both, and label them and their pods so that the service and the tear-down find their own and nothing else."""
    chosen = {key: labels[key] for key in (RUN_LABEL, MODEL_LABEL)}
    for manifest in (deployment, service):
        manifest["metadata"]["name"] = name
        manifest["metadata"]["labels"] |= labels
    service["spec"]["selector"] |= chosen
    deployment["spec"]["selector"]["matchLabels"] |= chosen
    deployment["spec"]["template"]["metadata"]["labels"] |= labels


def _fill_pod(pod: Manifest, recipe: ServingRecipe, cluster: Cluster) -> None:
    pod["terminationGracePeriodSeconds"] = grace_s(recipe)
    if cluster.host_network:
        pod["hostNetwork"] = True
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    volumes[STORE]["persistentVolumeClaim"]["claimName"] = cluster.claim


def _fill_container(container: Manifest, recipe: ServingRecipe, cluster: Cluster, port: int) -> None:
    container["env"] = [{"name": name, "value": value} for name, value in vllm_environment(recipe).items()]
    container["ports"][0] |= {"containerPort": port} | ({"hostPort": port} if cluster.host_network else {})
    container["startupProbe"]["failureThreshold"] = math.ceil(recipe.startup_timeout_s / PROBE_PERIOD_S)
    container["lifecycle"]["preStop"]["exec"]["command"] = ["sleep", str(_drain_s(recipe))]


def _remove_mounts_of_claim(pod: Manifest) -> None:
    for container in pod["containers"]:
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != STORE]


def _mount(container: Manifest, cluster: Cluster, path: Path, to: str = "") -> None:
    """Let a server see one file or folder of the claim, to read, and nothing beside it."""
    real, root = (Path(os.path.realpath(name)) for name in (path, cluster.mount_path))  # a node follows no link out of a volume
    if not (cluster.claim and real.is_relative_to(root)):
        seen = f"what lies below {cluster.mount_path}, on claim {cluster.claim}" if cluster.claim else "what lies on S3"
        raise InputError(f"{real}: a server sees only {seen}; put it there, or correct the cluster settings")
    part = real.relative_to(root).as_posix()
    mount = {"name": STORE, "mountPath": to or str(path), "readOnly": True}
    container["volumeMounts"].append(mount | ({"subPath": part} if part != "." else {}))


def _all_of(weights: Path) -> Path:
    """The folder that holds a model's files, also where some are links to others beside it, as a hub's cache has them."""
    real = Path(os.path.realpath(weights))
    files = [Path(os.path.realpath(path)) for path in weights.glob("*")] if weights.is_dir() else []
    whole = all(path.is_relative_to(real) for path in files)
    return weights if whole else Path(os.path.commonpath([weights, real, *files]))


def _fetch_weights(pod: Manifest, weights: Path, cluster: Cluster) -> None:
    """Fetch weights from S3 before the server starts, to the path that they have on every machine."""
    mirror = {"name": "weights", "mountPath": str(scratch())}
    command = ["python", "-m", "globe.models", str(weights)]
    resources = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}
    _fetch_first(pod, FETCHER, command, mirror, resources, cluster)
    pod["volumes"].append({"name": "weights", "emptyDir": {"sizeLimit": cluster.server_weights}})


def _give_key(pod: Manifest, place: str, digest: str, cluster: Cluster) -> None:
    """Put the key's file where the server finds it, and say so in its environment, which does not hold the key."""
    server, name = pod["containers"][0], "server-key"
    server["env"] += [{"name": name, "value": value} for name, value in guarded(Path(KEY_FOLDER, name), digest).items()]
    if not address_of(place):
        return _mount(server, cluster, Path(place), f"{KEY_FOLDER}/{name}")
    command = ["python", "-m", "globe.serving.server_key", place, f"{KEY_FOLDER}/{name}"]
    resources = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
    _fetch_first(pod, KEY_FETCHER, command, {"name": "key", "mountPath": KEY_FOLDER}, resources, cluster)
    pod["volumes"].append({"name": "key", "emptyDir": {"sizeLimit": "1Mi"}})


def _fetch_first(pod: Manifest, name: str, command: list[str], mount: Manifest, resources: Manifest, cluster: Cluster) -> None:
    """Add a container that fetches something from S3, which the server can only read, and whose keys it does not have."""
    server = pod["containers"][0]
    fetcher = {
        "name": name,
        "image": cluster.fetch_image,
        "command": command,
        "env": [*s3_environment(cluster), {"name": SCRATCH_VARIABLE, "value": str(scratch())}],
        "resources": resources,
        "securityContext": server["securityContext"],
        "volumeMounts": [mount, {"name": "tmp", "mountPath": "/tmp"}],
    }
    if "imagePullPolicy" in server:
        fetcher["imagePullPolicy"] = server["imagePullPolicy"]
    pod.setdefault("initContainers", []).append(fetcher)
    server["volumeMounts"].append(mount | {"readOnly": True})


def _drain_s(recipe: ServingRecipe) -> int:
    return min(MAX_DRAIN_S, recipe.shutdown_timeout_s)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
