"""What a server in a cluster took, as a record of its run: from its start to its end, with the GPUs that its pods had."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from globe.errors import GlobeError
from globe.run.cluster import Place
from globe.run.events import emit
from globe.run.records import SERVER, StageRecord, now_text, write_record
from globe.run.stage import RUN_VARIABLE
from globe.serving.kube import Object
from globe.serving.manifest import MODEL_LABEL


@dataclass(frozen=True)
class ServerUse:
    """A server that is about to end."""

    model: str
    started: datetime
    gpus: int
    answered: bool
    """Whether it was up when it was ended; also if it was told to end before, and cannot tell any more."""


def server_use(deployment: Object, pods: Sequence[Object], gpu_resource: str) -> ServerUse | None:
    """When a server got its GPUs, and how many.

    Args:
        deployment: The server's Deployment.
        pods: Its pods.
        gpu_resource: Name of the GPU resource, such as nvidia.com/gpu.

    Returns:
        From the moment when its oldest pod got a node; a server whose pod still waits for one, or may not be made (a quota),
        has no GPUs yet. None if the cluster does not say.
    """
    metadata = deployment["metadata"]
    starts = [pod["status"]["startTime"] for pod in pods if pod.get("status", {}).get("startTime")]
    started = min(starts, default=metadata.get("creationTimestamp"))
    if not started:
        return None
    containers = deployment["spec"]["template"]["spec"]["containers"]
    limits = [container.get("resources", {}).get("limits", {}).get(gpu_resource, 0) for container in containers]
    conditions = deployment.get("status", {}).get("conditions", ())
    refused = any(one["type"] == "ReplicaFailure" and one["status"] == "True" for one in conditions)
    waits = not starts and (bool(pods) or refused)
    gpus = 0 if waits else sum(map(int, limits))
    answered = bool(deployment.get("status", {}).get("availableReplicas")) or "deletionTimestamp" in metadata
    return ServerUse(metadata["labels"][MODEL_LABEL], datetime.fromisoformat(started), gpus, answered)


def record(use: ServerUse, place: Place) -> None:
    """Record a server that has ended; if the store does not answer, only the run's last word lacks it."""
    if not place.store:
        return
    seconds = round((datetime.now(UTC) - use.started).total_seconds(), 1)
    try:
        write_record(
            place.store,
            StageRecord(
                run=os.environ.get(RUN_VARIABLE) or place.run,
                stage=f"{SERVER}{use.model}",
                state="succeeded" if use.answered else "failed",
                started=now_text(use.started),
                seconds=max(0.0, seconds),
                gpus=use.gpus,
                error="" if use.answered else "it did not answer when it was ended",
            ),
        )
    except (GlobeError, OSError) as error:
        emit("teardown", "note", figure=f"the end of the run will not tell what the server of {use.model} took: {error}")
