"""`python3 -m globe.training.trainjob.node FILE`: one node of a TrainJob, in its pod. It becomes torchrun, which trains there.

torchrun takes the node's place among the others from variables that Kubeflow Trainer sets (PET_*). Where the control plane takes
reports of progress (feature gate TrainJobRuntimeStatus), transformers makes them by itself (KubeflowCallback).
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from globe.errors import InputError
from globe.run.gpus import devices
from globe.training.trainjob.job import Job, read_job


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
    os.execvpe(job.command[0], list(job.command), {**os.environ, **job.environment})


if __name__ == "__main__":
    main(sys.argv[1:])
