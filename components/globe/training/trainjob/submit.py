"""`python3 -m globe.training.trainjob.submit FILE [--goes-on]`: have a TrainJob train, and end as it does.

It stands where one node's trainer would: the stage starts it, reads the same log and checkpoints, and ends it the same way.

- The job's name is that of the stage's result. A job of that name that still works is the one that an earlier call has
  submitted: this call waits for it. One that has failed is removed, and a new one goes on from the last checkpoint.
- What the first node prints is printed here.
- When this process is told to end, so is the job; its pods get SIGTERM, and save. When it is killed, or the stage that started
  it, the job goes on.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import CustomTrainerContainer, TrainerClient
from kubeflow.trainer.constants import constants
from kubeflow.trainer.options import (
    ContainerPatch,
    JobSetSpecPatch,
    JobSetTemplatePatch,
    JobSpecPatch,
    JobTemplatePatch,
    Labels,
    Name,
    PodSpecPatch,
    PodTemplatePatch,
    ReplicatedJobPatch,
    RuntimePatch,
    TrainerArgs,
    TrainerCommand,
    TrainingRuntimeSpecPatch,
)
from kubeflow.trainer.types.types import TrainJob
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from globe.errors import GlobeError
from globe.training.trainjob.job import GOES_ON, Job, Nodes, read_job

POLL_S = 5.0
PATIENCE_S = 300.0
"""How long the cluster's API may be away, and how long a removed job may take to be gone."""
LOST_S = 2.0
"""How long it may take until a stage that was killed is gone: the kernel sends its signal when the first of its threads ends."""
TAIL_LINES = 20
CLAIM, SHM = "globe", "shm"
_OVER = (constants.TRAINJOB_COMPLETE, constants.TRAINJOB_FAILED)
say: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: E731


def submit(job: Job, file: Path, *, goes_on: bool = False) -> None:
    """Have a job train on its nodes, and wait for its end.

    Args:
        job: The job.
        file: Its file, which its pods read.
        goes_on: Whether the job that is waited for was at work a moment ago; if it is over now, that was its end.

    Raises:
        GlobeError: It failed, or the cluster refuses it, or does not answer for five minutes.
    """
    client = _connect(job.name, job.nodes.namespace)
    found = _find(client, job.name)
    if found and found.status in _OVER and not goes_on:  # an earlier call's, which began at another checkpoint
        say(f"TrainJob {job.name}: {found.status}, and is wanted again: removed")
        _remove(client, job.name)
        found = None
    if found:
        say(f"TrainJob {job.name}: found again ({found.status})")
    else:
        _patiently(lambda: _create(client, job, file))
        say(f"TrainJob {job.name}: submitted ({job.nodes.count} nodes with {job.nodes.gpus} GPUs each)")
    with _ended_together(client, job.name):
        ended = _follow(client, job.name)
    if ended.status == constants.TRAINJOB_FAILED:
        raise GlobeError(f"TrainJob {job.name} failed: {_why(client, job.name)}")
    say(f"TrainJob {job.name}: complete")
    _remove(client, job.name)  # its result lies with the stage; the next that is called so is another one


def is_at_work(name: str, namespace: str = "") -> bool:
    """Whether a job of this name is there and not over: then its pods write the checkpoints, and nobody else may touch them."""
    found = _find(_connect(name, namespace), name)
    return found is not None and found.status not in _OVER


def _connect(name: str, namespace: str) -> TrainerClient:
    """A client with KUBECONFIG if it is set, else as the pod's service account."""
    way = KubernetesBackendConfig(namespace=namespace or None, config_file=os.environ.get("KUBECONFIG") or None)
    try:
        return TrainerClient(way)
    except ConfigException as error:
        raise GlobeError(f"no way into a cluster for TrainJob {name}: {' '.join(str(error).split())[:300]}") from None


def _create(client: TrainerClient, job: Job, file: Path) -> None:
    trainer = CustomTrainerContainer(
        image=job.nodes.image, num_nodes=job.nodes.count, resources_per_node=dict(job.nodes.resources)
    )
    options = [
        Name(job.name),
        Labels(dict(job.nodes.labels)),
        TrainerCommand(["python3", "-m", "globe.training.trainjob.node"]),
        TrainerArgs([str(file)]),
        _patch(job.nodes),
    ]
    try:
        client.train(runtime=job.nodes.runtime, trainer=trainer, options=options)
    except RuntimeError as error:
        if _status_of(error) != 409:  # an answer that was lost on its way
            raise


def _patch(nodes: Nodes) -> RuntimePatch:
    """What the runtime's pods get: the claim, shared memory, and the nodes that they may run on."""
    volumes = [
        {"name": CLAIM, "persistentVolumeClaim": {"claimName": nodes.claim}},
        {"name": SHM, "emptyDir": {"medium": "Memory", "sizeLimit": nodes.shm}},
    ]
    mounts = [{"name": CLAIM, "mountPath": nodes.mount_path}, {"name": SHM, "mountPath": "/dev/shm"}]
    pods = PodTemplatePatch(
        metadata={"labels": dict(nodes.labels)},
        spec=PodSpecPatch(
            service_account_name=nodes.service_account or None,
            volumes=volumes,
            containers=[ContainerPatch(name=constants.NODE, volume_mounts=mounts)],
            image_pull_secrets=[{"name": name} for name in nodes.image_pull_secrets] or None,
            node_selector=dict(nodes.node_selector) or None,
            tolerations=[dict(toleration) for toleration in nodes.tolerations] or None,
        ),
    )
    job = ReplicatedJobPatch(name=constants.NODE, template=JobTemplatePatch(spec=JobSpecPatch(template=pods)))
    return RuntimePatch(TrainingRuntimeSpecPatch(JobSetTemplatePatch(spec=JobSetSpecPatch(replicated_jobs=[job]))))


def _follow(client: TrainerClient, name: str) -> TrainJob:
    """Print what the first node prints until the job is over."""
    lines = _Lines()
    while True:
        job = _patiently(lambda: client.get_job(name))
        lines.read(client, job)
        if job.status in _OVER:
            lines.read(client, job)
            return job
        time.sleep(POLL_S)


class _Lines:
    """What the first node's pod has printed. Reading ends where the pod has nothing more, so a job's end is never missed."""

    def __init__(self) -> None:
        self._pod, self._read = "", 0

    def read(self, client: TrainerClient, job: TrainJob) -> None:
        """Print the new lines."""
        first = next((step for step in job.steps if step.name == f"{constants.NODE}-0"), None)
        if first is None or first.status == constants.POD_PENDING:
            return
        if first.pod_name != self._pod:  # the first one, or one in place of a lost one
            self._pod, self._read = first.pod_name, 0
        with suppress(RuntimeError):  # it does not print yet, or no more; the job's status tells the rest
            lines = list(client.get_job_logs(job.name))
            if len(lines) < self._read:  # the node has begun a new file
                self._read = 0
            for line in lines[self._read :]:
                say(line)
            self._read = len(lines)


def _why(client: TrainerClient, name: str) -> str:
    """What the pods that failed said last, and else what the cluster noted about the job."""
    said = []
    for step in client.get_job(name).steps:
        if step.status == "Failed":
            with suppress(RuntimeError):
                lines = [line for line in client.get_job_logs(name, step=step.name) if line.strip()]
                said += [f"{step.name}: {line}" for line in lines[-TAIL_LINES:]]
    if not said:
        with suppress(Exception):  # accounts need no right to see events
            said = [event.message for event in client.get_job_events(name)][-3:]
    for line in said:
        say(line)
    return said[-1] if said else "no pod says why; see its description"


def _find(client: TrainerClient, name: str) -> TrainJob | None:
    def ask() -> TrainJob | None:
        try:
            return client.get_job(name)
        except RuntimeError as error:
            if _status_of(error) == 404:
                return None
            raise

    return _patiently(ask)


def _remove(client: TrainerClient, name: str) -> None:
    """Delete a job, and wait until it is gone with its pods."""
    with suppress(RuntimeError):
        client.delete_job(name)
    deadline = time.monotonic() + PATIENCE_S
    while _find(client, name):
        if time.monotonic() > deadline:
            raise GlobeError(f"TrainJob {name} is still there {PATIENCE_S:.0f} s after it was deleted")
        time.sleep(POLL_S)


@contextmanager
def _ended_together(client: TrainerClient, name: str) -> Iterator[None]:
    """While a job is followed, SIGTERM and SIGINT end the job, too."""

    parent = os.getppid()

    def end(number: int, _: object) -> NoReturn:
        time.sleep(LOST_S)
        if os.getppid() != parent:  # its stage is lost, and whoever starts it again finds the job
            sys.exit(128 + number)
        say(f"TrainJob {name}: told to end ({signal.Signals(number).name}), removed")
        with suppress(RuntimeError):
            client.delete_job(name)
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _patiently(ask: Callable[[], Any]) -> Any:
    """Ask the cluster again while its API is away for a moment.

    Raises:
        GlobeError: It refuses, or stays away.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except (RuntimeError, TimeoutError) as error:
            status = _status_of(error)
            if (status and status < 500 and status != 429) or time.monotonic() > deadline:
                raise GlobeError(_refusal(error)) from None
        time.sleep(POLL_S)


def _refusal(error: Exception) -> str:
    """Why the cluster refuses, without headers, which have tokens."""
    cause = next((one for one in _causes(error) if isinstance(one, ApiException)), None)
    reason = f": {cause.status} {cause.reason}: {' '.join(str(cause.body).split())[:400]}" if cause else f": {_last(error)}"
    hint = ""
    if cause and cause.status == 404 and "untime" in str(error):
        hint = "; is there such a TrainingRuntime (kubectl apply -k manifests/trainer), and Kubeflow Trainer?"
    return f"{error}{reason}{hint}"


def _last(error: BaseException) -> str:
    last = list(_causes(error))[-1]
    return f"{type(last).__name__}: {last}"[:300]


def _status_of(error: BaseException) -> int:
    return next((one.status or 0 for one in _causes(error) if isinstance(one, ApiException)), 0)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def main(arguments: Sequence[str]) -> int:
    """Have the job of a file train."""
    file, *options = arguments
    try:
        submit(read_job(Path(file)), Path(file), goes_on=GOES_ON in options)
    except GlobeError as error:
        say(f"globe.errors.GlobeError: {error}")  # as a trainer's own error is told in its log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
