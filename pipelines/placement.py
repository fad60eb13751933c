"""Where tasks run: sizes, GPUs, volumes, secrets, queue. Set once while a pipeline is built, applied to each of its tasks.

On a laptop there is no cluster: the local runner would ignore these settings, so none are made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kfp import dsl, kubernetes

from components.images import image
from globe.run.cluster import QUEUE_LABEL, Cluster, Size
from globe.storage.uris import SCRATCH_VARIABLE
from pipelines.cluster import size_of

USER_ID, GROUP_ID = 1001, 0
TITLES = {
    "validate": "Check inputs",
    "source": "Source",
    "base_model": "Base model",
    "model": "Model",
    "annotate": "Annotate",
    "curation": "Curation",
    "sft": "SFT",
    "baselines": "Baselines",
    "reward_model": "Reward model",
    "reward_service": "Reward service",
    "grpo": "GRPO",
    "serving": "Serving",
    "evaluation": "Evaluation",
    "gate": "Gate",
}
"""Display names; other tasks are named after their component."""
SHM, SHM_PATH = "shm", "/dev/shm"
SCRATCH, SCRATCH_PATH = "scratch", "/scratch"
"""What is mirrored from S3 lies there: the same path in every pod."""
_cluster: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


@contextmanager
def placed_in(cluster: Cluster | None) -> Iterator[None]:
    """Build pipelines for a cluster within a `with` block; None is a laptop."""
    token = _cluster.set(cluster)
    try:
        yield
    finally:
        _cluster.reset(token)


def cluster_settings() -> dict[str, Any]:
    """What stages are told about the cluster: where servers go, which secrets there are. Empty on a laptop."""
    cluster = _cluster.get()
    return cluster.for_stages(image("serve"), image("evaluate")) if cluster else {}


def place(
    task: dsl.PipelineTask, stage: str, *, gpus: Any = None, nodes: Any = None, tolerations: Any = None
) -> dsl.PipelineTask:
    """Give a task its place.

    Args:
        task: The task.
        stage: Which row of the profile's sizes it takes.
        gpus: How many GPUs, a constant or a parameter; the task must have it as an input too. None for a task without.
        nodes: Node labels, as JSON or a parameter.
        tolerations: Tolerations, as JSON or a parameter.

    Returns:
        The task.
    """
    task.set_caching_options(False)  # stages find their own finished work in the store, and check it
    if stage in TITLES:
        task.set_display_name(TITLES[stage])
    cluster = _cluster.get()
    if not cluster:
        return task
    size = size_of(cluster, stage)
    _resources(task, size, gpus, cluster)
    _pod(task, cluster)
    if gpus is not None:
        kubernetes.empty_dir_mount(task, SHM, SHM_PATH, medium="Memory", size_limit=size.shm)
        kubernetes.add_node_selector_json(task, nodes)
        kubernetes.add_toleration_json(task, tolerations)
        if cluster.queue:
            kubernetes.add_pod_label(task, QUEUE_LABEL, cluster.queue)
    if size.retries:
        task.set_retry(size.retries, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration="600s")
    if size.deadline_s:
        kubernetes.set_timeout(task, size.deadline_s)
    return task


def _resources(task: dsl.PipelineTask, size: Size, gpus: Any, cluster: Cluster) -> None:
    task.set_cpu_request(size.cpu).set_memory_request(size.memory).set_memory_limit(size.memory)
    if gpus is not None:
        task.set_accelerator_type(cluster.gpu_resource).set_accelerator_limit(gpus)


def _pod(task: dsl.PipelineTask, cluster: Cluster) -> None:
    kubernetes.set_security_context(task, run_as_user=USER_ID, run_as_group=GROUP_ID, run_as_non_root=True)
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "globe")
    kubernetes.empty_dir_mount(task, SCRATCH, SCRATCH_PATH)
    task.set_env_variable(SCRATCH_VARIABLE, SCRATCH_PATH)
    if cluster.claim:
        kubernetes.mount_pvc(task, cluster.claim, cluster.mount_path)
    for secret in cluster.secrets:
        # Optional: a secret that is missing would keep the pod waiting for ever. The first task says what is missing.
        kubernetes.use_secret_as_env(task, secret.name, {key: key for key in secret.keys}, optional=True)
    if cluster.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, cluster.image_pull_secrets)
    kubernetes.set_image_pull_policy(task, "IfNotPresent")


def pipeline_config(cluster: Cluster | None) -> dsl.PipelineConfig:
    """How long a run may take, and how long its pods are kept."""
    if not cluster:
        return dsl.PipelineConfig()
    return dsl.PipelineConfig(
        ttl_seconds_after_finished=cluster.ttl_s or None, active_deadline_seconds=cluster.deadline_s or None
    )
