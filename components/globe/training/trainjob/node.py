"""`python3 -m globe.training.trainjob.node FILE`: one node of a TrainJob, in its pod. It starts ms-swift's launcher there.

Kubeflow Trainer tells a node its place in variables for torchrun (PET_*); ms-swift has other names for them. Where its control
plane takes reports of progress (feature gate TrainJobRuntimeStatus), transformers makes them by itself (KubeflowCallback).
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from globe.errors import InputError
from globe.run.gpus import devices
from globe.training.trainjob.job import Job, read_job

TOLD = {
    "PET_NNODES": "NNODES",
    "PET_NODE_RANK": "NODE_RANK",
    "PET_MASTER_ADDR": "MASTER_ADDR",
    "PET_MASTER_PORT": "MASTER_PORT",
}
"""Variables of a node by the name that Kubeflow Trainer gives them, and ms-swift's name for each."""


def environment_of(job: Job, outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of a node's training.

    Args:
        job: The job.
        outer: The pod's own environment.

    Raises:
        KeyError: The pod is no node of a TrainJob.
    """
    place = {name: outer[told] for told, name in TOLD.items()}
    return {**outer, **job.environment, **place, "NPROC_PER_NODE": str(max(1, job.nodes.gpus))}


def require_gpus(job: Job) -> None:
    """Stop a node that did not get its GPUs before it loads anything.

    Raises:
        InputError: It sees another number of them.
    """
    if job.nodes.gpus and devices() != job.nodes.gpus:
        raise InputError(f"a node of TrainJob {job.name} was promised {job.nodes.gpus} GPUs and sees {devices()}")


def main(arguments: Sequence[str]) -> None:
    """Become the training of this node."""
    (file,) = arguments
    job = read_job(Path(file))
    require_gpus(job)
    os.execvpe(job.command[0], list(job.command), environment_of(job, os.environ))


if __name__ == "__main__":
    main(sys.argv[1:])
