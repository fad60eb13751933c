"""The objects of a released model: manifests/serving/base and components, filled in for a name, a checkpoint and a cluster."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from globe.errors import InputError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import QUEUE_LABEL, Cluster
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.guard import DIGEST_VARIABLE
from globe.serving.manifest import MODEL_LABEL, PORT, PROBE_PERIOD_S, label_value
from globe.serving.recipe import ServingRecipe
from globe.serving.release import CHECKPOINT_ANNOTATION, DIGEST_ANNOTATION, Wanted, peers_name, released_labels
from globe.serving.server_key import model_digest
from globe.serving.templates import INSIDE, component, merge, released

GATEWAY_PORT = 8080
WEIGHTS = {"volume": "", "s3": "/weights/checkpoint", "oci": "/mnt/models"}
"""Where a pod sees the weights, by where they come from; on the claim their path is their place."""

Precision = Literal["country", "region", "city"]


@dataclass(frozen=True)
class Asked:
    """What a user asks for beside the checkpoint."""

    name: str
    replicas: int | None = None
    gpus: int = 1
    max_precision: Precision = "city"
    without_keys: bool = False
    """Whoever the network policy lets through may ask."""
    schedule_timeout_s: float = 600.0


def source_of(place: str) -> Literal["volume", "s3", "oci"]:
    """Where a checkpoint's weights come from: a path on the claim, an s3:// address, or an oci:// image named by digest.

    Raises:
        InputError: It is none of them.
    """
    if place.startswith("s3://"):
        return "s3"
    if place.startswith("oci://"):
        if "@sha256:" not in place:
            raise InputError(f"{place}: name the image by its digest, NAME@sha256:..., as `globe publish --oci` prints it")
        return "oci"
    if not place.startswith("/"):
        raise InputError(f"{place}: give a path as pods see it, such as /mnt/globe/store/..., an s3:// or an oci:// address")
    return "volume"


def wanted(asked: Asked, checkpoint: Checkpoint, recipe: ServingRecipe, cluster: Cluster) -> Wanted:
    """Fill in the manifests for one release.

    Args:
        asked: What the user asks for.
        checkpoint: Its uri is where pods find the weights; its digest, if it has one, is told with every answer.
        recipe: How it is served.
        cluster: Images, claim and sizes.

    Raises:
        InputError: An image is missing, or the checkpoint cannot be seen by a pod.
    """
    source = source_of(checkpoint.uri)
    _check(checkpoint.uri, source, cluster)
    deployment, *rest = _objects(source, without_keys=asked.without_keys)
    for one in (deployment, *rest):
        _name(one, asked.name)
    template = deployment["spec"]["template"]
    _fill_pod(template["spec"], asked, checkpoint, recipe, cluster, source)
    if cluster.queue:
        deployment["metadata"]["labels"][QUEUE_LABEL] = cluster.queue
    deployment["spec"]["progressDeadlineSeconds"] = int(recipe.startup_timeout_s + asked.schedule_timeout_s)
    told = {CHECKPOINT_ANNOTATION: checkpoint.uri, DIGEST_ANNOTATION: model_digest(checkpoint)}
    deployment["metadata"]["annotations"] = told
    version = hashlib.sha256(json.dumps([template, told, deployment["metadata"]["labels"]], sort_keys=True).encode()).hexdigest()
    return Wanted(
        name=asked.name,
        version=version[:10],
        deployment=deployment,
        services=tuple(one for one in rest if one["kind"] == "Service"),
        others=tuple(one for one in rest if one["kind"] != "Service"),
        replicas=asked.replicas,
        startup_timeout_s=recipe.startup_timeout_s,
        schedule_timeout_s=asked.schedule_timeout_s,
    )


def _check(place: str, source: str, cluster: Cluster) -> None:
    if not cluster.server_image:
        raise InputError("--image: name the serve image, or server_image in the file of --cluster")
    if source == "s3" and not cluster.fetch_image:
        raise InputError(f"{place}: the serve image has no S3 client; --cluster: name the evaluate image as fetch_image")
    if source == "volume" and not (cluster.claim and Path(place).is_relative_to(cluster.mount_path)):
        claim = f"what lies below {cluster.mount_path}, on claim {cluster.claim}" if cluster.claim else "no claim"
        raise InputError(f"{place}: a pod sees {claim}; give a path there, an s3:// or an oci:// address")


def _objects(source: str, *, without_keys: bool) -> list[dict[str, Any]]:
    files = {"volume": "check.yaml", "s3": "fetch.yaml", "oci": "artifact.yaml"}
    deployment, *rest = released()
    deployment = merge(deployment, component(source, files[source]))
    if without_keys:
        deployment = merge(deployment, component("open", "open.yaml"))
    if source == "s3":  # what fetches has to get out
        rest.append(component("fetch", "networkpolicy.yaml"))
    # Pods of one Deployment are replaced only by hand or with --in-place, where there is no room for one more.
    deployment["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    return [deployment, *rest]


def _name(one: dict[str, Any], name: str) -> None:
    """Name an object, and have its labels and selectors find this name's pods and nothing else."""
    one["metadata"]["name"] = name + one["metadata"]["name"].removeprefix("globe")  # globe, globe-peers, globe-fetch
    one["metadata"]["labels"] = one["metadata"].get("labels", {}) | released_labels(name) | {MODEL_LABEL: label_value(name)}
    _relabel(one.get("spec", {}), label_value(name))
    if one["kind"] == "Deployment":
        one["spec"]["selector"]["matchLabels"] |= released_labels(name)
        one["spec"]["template"]["metadata"]["labels"] |= released_labels(name)


def _relabel(part: Any, model: str) -> None:
    if isinstance(part, dict):
        if MODEL_LABEL in part:
            part[MODEL_LABEL] = model
        for value in part.values():
            _relabel(value, model)
    elif isinstance(part, list):
        for value in part:
            _relabel(value, model)


def _fill_pod(
    pod: dict[str, Any], asked: Asked, checkpoint: Checkpoint, recipe: ServingRecipe, cluster: Cluster, source: str
) -> None:
    containers = {one["name"]: one for one in (*pod["initContainers"], *pod["containers"])}
    weights = WEIGHTS[source] or checkpoint.uri
    for one in containers.values():
        one["image"] = cluster.server_image
        if cluster.server_image_pull_policy:
            one["imagePullPolicy"] = cluster.server_image_pull_policy
    pod["serviceAccountName"] = asked.name
    if cluster.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in cluster.image_pull_secrets]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    volumes["shm"]["emptyDir"]["sizeLimit"] = cluster.server_shm
    if source == "volume":
        volumes["store"]["persistentVolumeClaim"]["claimName"] = cluster.claim
        containers["checkpoint"]["command"][-1] = checkpoint.uri
        for one in containers.values():
            for mount in one.get("volumeMounts", []):
                mount["mountPath"] = cluster.mount_path if mount["name"] == "store" else mount["mountPath"]
    elif source == "s3":
        volumes["weights"]["emptyDir"]["sizeLimit"] = cluster.server_weights
        containers["weights"] |= {"image": cluster.fetch_image}
        containers["weights"]["command"][-1] = checkpoint.uri
    else:
        volumes["store"]["image"]["reference"] = checkpoint.uri.removeprefix("oci://")
    _fill_engine(containers["vllm"], asked, checkpoint, recipe, cluster, weights)
    _set(containers["gateway"], GLOBE_GATEWAY_PEERS=f"{peers_name(asked.name)}:{GATEWAY_PORT}", GLOBE_GATEWAY_MODEL=asked.name)
    described = WEIGHTS[source] or str(checkpoint.described_in)  # the question and the radius stand where the manifest does
    _set(containers["gateway"], GLOBE_GATEWAY_CHECKPOINT=described, GLOBE_GATEWAY_MAX_PRECISION=asked.max_precision)


def _fill_engine(
    engine: dict[str, Any], asked: Asked, checkpoint: Checkpoint, recipe: ServingRecipe, cluster: Cluster, weights: str
) -> None:
    engine["args"] = vllm_arguments(Path(weights), asked.name, INSIDE, PORT, recipe)
    _set(engine, **vllm_environment(recipe))
    if digest := model_digest(checkpoint):
        _set(engine, **{DIGEST_VARIABLE: digest})
    engine["startupProbe"]["failureThreshold"] = max(1, int(recipe.startup_timeout_s / PROBE_PERIOD_S))
    requests, limits = engine["resources"]["requests"], engine["resources"]["limits"]
    limits.pop("nvidia.com/gpu", None)
    if asked.gpus:
        limits[cluster.gpu_resource] = str(asked.gpus)
    requests["cpu"] = cluster.server_cpu
    requests["memory"] = limits["memory"] = cluster.server_memory


def _set(container: dict[str, Any], **values: str) -> None:
    kept = [one for one in container["env"] if one["name"] not in values]
    container["env"] = [*kept, *({"name": name, "value": value} for name, value in values.items())]
