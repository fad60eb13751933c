"""The objects of a released model: manifests/serving/base and components, filled in for a name, a checkpoint and a cluster."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from globe import storage
from globe.errors import InputError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import QUEUE_LABEL, Cluster, Place, Precision
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.guard import DIGEST_VARIABLE
from globe.serving.manifest import MODEL_LABEL, PORT, PROBE_PERIOD_S, label_value, place_pod, s3_environment
from globe.serving.recipe import ServingRecipe
from globe.serving.release import CHECKPOINT_ANNOTATION, DIGEST_ANNOTATION, Wanted, peers_name, released_labels
from globe.serving.server_key import model_digest
from globe.serving.templates import INSIDE, component, merge, released

GATEWAY_PORT = 8080
WEIGHTS = {"volume": "", "s3": "/weights/checkpoint", "oci": "/mnt/models"}
"""Where a pod sees the weights, by where they come from; on the claim their path is their place."""


@dataclass(frozen=True)
class Asked:
    """What a user asks for beside the checkpoint."""

    name: str
    replicas: int | None = None
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


def wanted(asked: Asked, checkpoint: Checkpoint, recipe: ServingRecipe, place: Place) -> Wanted:
    """Fill in the manifests for one release.

    Args:
        asked: What the user asks for.
        checkpoint: Its uri is where pods find the weights; its digest, if it has one, is told with every answer.
        recipe: How it is served.
        place: GPUs, nodes, and the cluster's images, claim and sizes.

    Raises:
        InputError: An image is missing, the checkpoint cannot be seen by a pod, or as `place_pod`.
    """
    source = source_of(checkpoint.uri)
    cluster = _checked(checkpoint.uri, source, place.cluster)
    deployment, *rest = _objects(source, without_keys=asked.without_keys)
    for one in (deployment, *rest):
        _name(one, asked.name)
    template = deployment["spec"]["template"]
    place_pod(template["spec"], recipe, place, cluster)
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


def _checked(place: str, source: str, cluster: Cluster | None) -> Cluster:
    if cluster is None or not cluster.server_image:
        raise InputError("--image: name the serve image, or server_image in the file of --cluster")
    if source == "s3" and not cluster.fetch_image:
        raise InputError(f"{place}: the serve image has no S3 client; --cluster: name the evaluate image as fetch_image")
    if source == "volume" and not (cluster.claim and Path(place).is_relative_to(cluster.mount_path)):
        claim = f"what lies below {cluster.mount_path}, on claim {cluster.claim}" if cluster.claim else "no claim"
        raise InputError(f"{place}: a pod sees {claim}; give a path there, an s3:// or an oci:// address")
    return cluster


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
    pod["serviceAccountName"] = asked.name
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    if source == "volume":
        volumes["store"]["persistentVolumeClaim"]["claimName"] = cluster.claim
        containers["checkpoint"]["command"][-1] = _described_in(checkpoint, source, cluster)
        for one in containers.values():
            for mount in one.get("volumeMounts", []):
                mount["mountPath"] = cluster.mount_path if mount["name"] == "store" else mount["mountPath"]
    elif source == "s3":
        volumes["weights"]["emptyDir"]["sizeLimit"] = cluster.server_weights
        containers["weights"] |= {"image": cluster.fetch_image}
        containers["weights"]["command"][-1] = checkpoint.uri
        own = [one for one in containers["weights"]["env"] if "value" in one]
        containers["weights"]["env"] = [*own, *s3_environment(cluster)]
    else:
        volumes["store"]["image"]["reference"] = checkpoint.uri.removeprefix("oci://")
    _fill_engine(containers["vllm"], asked, recipe, weights)
    _set(containers["gateway"], GLOBE_GATEWAY_PEERS=f"{peers_name(asked.name)}:{GATEWAY_PORT}", GLOBE_GATEWAY_MODEL=asked.name)
    described = _described_in(checkpoint, source, cluster)
    _set(containers["gateway"], GLOBE_GATEWAY_CHECKPOINT=described, GLOBE_GATEWAY_MAX_PRECISION=asked.max_precision)
    if (digest := model_digest(checkpoint)) and _is_compared(checkpoint, source, cluster):
        _set(containers["vllm"], **{DIGEST_VARIABLE: digest})


def _described_in(checkpoint: Checkpoint, source: str, cluster: Cluster) -> str:
    """Where a pod reads the manifest, and with it question and radius; the model's folder where it sees no manifest."""
    place = checkpoint.described_in
    return WEIGHTS[source] or str(place if place.is_relative_to(cluster.mount_path) else checkpoint.uri)


def _is_compared(checkpoint: Checkpoint, source: str, cluster: Cluster) -> bool:
    """Whether each pod compares its weights with the manifest when it starts, and so may say which checkpoint it serves."""
    if source == "volume":
        return checkpoint.described_in.is_relative_to(cluster.mount_path)
    return not checkpoint.manifest or storage.stored_at(checkpoint.described_in) == checkpoint.uri


def _fill_engine(engine: dict[str, Any], asked: Asked, recipe: ServingRecipe, weights: str) -> None:
    engine["args"] = vllm_arguments(Path(weights), asked.name, INSIDE, PORT, recipe)
    _set(engine, **vllm_environment(recipe))
    engine["startupProbe"]["failureThreshold"] = max(1, int(recipe.startup_timeout_s / PROBE_PERIOD_S))


def _set(container: dict[str, Any], **values: str) -> None:
    kept = [one for one in container["env"] if one["name"] not in values]
    container["env"] = [*kept, *({"name": name, "value": value} for name, value in values.items())]
