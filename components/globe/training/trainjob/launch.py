"""What a stage runs in place of a trainer where several nodes train."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from globe.training.trainjob.job import GOES_ON, JOB_FILE, Job, Nodes, job_name


def trains_on_nodes(nodes: Nodes, output: Path) -> bool:
    """Whether a TrainJob that an earlier call has submitted still trains into an output folder.

    Args:
        nodes: The nodes.
        output: The trainer's output folder, STORE/STAGE/KEY/swift.

    Raises:
        GlobeError: The cluster does not say.
    """
    from globe.training.trainjob.submit import is_at_work  # the SDK's import takes seconds, and few need it

    return is_at_work(_name(output), nodes.namespace)


def on_nodes(nodes: Nodes, output: Path, command: Sequence[str], environment: Mapping[str, str], *, at_work: bool) -> list[str]:
    """The command that has a TrainJob run torchrun on each node.

    Args:
        nodes: The nodes.
        output: The trainer's output folder, which the nodes share with this machine.
        command: The module that trains, with its arguments.
        environment: Variables of the training, beside those of its pods.
        at_work: Whether such a job is at work already; then its file stays as it is.
    """
    file = output / JOB_FILE
    if not (at_work and file.is_file()):
        torchrun = ["python3", "-m", "torch.distributed.run", "--nproc_per_node", str(max(1, nodes.gpus)), "-m"]
        file = Job(_name(output), nodes, [*torchrun, *command], dict(environment)).write(output)
    return [sys.executable, "-m", "globe.training.trainjob.submit", str(file.resolve()), *([GOES_ON] if at_work else [])]


def _name(output: Path) -> str:
    stage, key = output.resolve().parts[-3:-1]
    return job_name(stage, key)
