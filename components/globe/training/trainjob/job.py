"""A TrainJob as a file: what the stage that submits it and the pods that run it tell each other.

The file lies beside the trainer's checkpoints, on the claim that the stage's pod and the job's pods share.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.files import write_json

JOB_FILE = "trainjob.json"
GOES_ON = "--goes-on"
"""Option of `globe.training.trainjob.submit`: the job was at work a moment ago."""
LONGEST_NAME = 63
"""Of a TrainJob, whose pods are found by it in DNS."""


@dataclass(frozen=True)
class Nodes:
    """Where the nodes of a training are: what a profile and a run say about them."""

    count: int
    """How many; 2 or more."""
    gpus: int
    """Of each."""
    image: str
    claim: str
    mount_path: str
    namespace: str = ""
    """Empty for the namespace of the pod that submits."""
    runtime: str = "globe-torch"
    """TrainingRuntime or ClusterTrainingRuntime whose container `node` trains."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """Of each node's pod by Kubernetes' names, GPUs included."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """By which the run's clean-up finds the job."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = field(default_factory=list)
    service_account: str = ""
    image_pull_secrets: Sequence[str] = field(default_factory=list)
    shm: str = "64Gi"
    """Size of /dev/shm, where NCCL and the data loaders exchange data."""

    @property
    def all_gpus(self) -> int:
        """GPUs of all nodes together."""
        return self.count * self.gpus


@dataclass(frozen=True)
class Job:
    """A training on several nodes."""

    name: str
    nodes: Nodes
    command: Sequence[str]
    """What each node runs."""
    environment: Mapping[str, str]
    """What each node's processes find in their environment beside what is there already."""

    def write(self, folder: Path) -> Path:
        """Write the job's file into a folder, readable for nobody else: the environment may hold a server's key.

        Returns:
            The file.
        """
        path = folder / JOB_FILE
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        write_json(path, asdict(self))
        path.chmod(0o600)
        return path


def read_job(path: Path) -> Job:
    """The job of a file.

    Raises:
        GlobeError: It cannot be read, or is no job's.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Job(**content | {"nodes": Nodes(**content["nodes"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise GlobeError(f"{path}: is no TrainJob's file ({type(error).__name__}: {error})") from None


def job_name(stage: str, key: str) -> str:
    """The name of a stage's TrainJob: that of its result's address, so that whoever asks for the same finds the same job.

    Args:
        stage: The stage, such as "reward_model".
        key: The key of its result: what it was made of.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", f"globe-{stage}-{key}".lower())
    return readable[:LONGEST_NAME].strip("-")
