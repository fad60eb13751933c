"""Where tasks run: sizes, GPUs, volumes, secrets, queue. They are set in one pass, once all of a pipeline's tasks are made.

On a laptop there is no cluster, and the local runner would ignore these settings, so none are made.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kfp import dsl, kubernetes

from components.images import image
from globe.errors import InputError
from globe.geo.layout import CACHE_VARIABLE
from globe.run.cluster import NO_SIDECAR, QUEUE_LABEL, Cluster, Size
from globe.run.exporter import ALL_ADDRESSES, HOST_VARIABLE, PORT_VARIABLE
from globe.run.stage import RUN_VARIABLE
from globe.run.stages import Stage
from globe.storage.uris import SCRATCH_VARIABLE
from pipelines.backends import NEWEST, Backend

RUN = dsl.PIPELINE_JOB_ID_PLACEHOLDER
"""The run's name, which a backend fills in."""
RUN_ID_FIELD = "metadata.labels['pipeline/runid']"
"""Where a pod has the same: every backend puts this label on all pods of a run."""
SUPERVISE = ("python3", "-m", "globe.run.supervise")
"""Stands before every task's command: it tries again inside the pod, and writes the run's record of the stage."""
GPUS_INPUT = "gpus"
USER_ID, GROUP_ID = 1001, 0
YEAR_S = 365 * 24 * 3600
SHM, SHM_PATH = "shm", "/dev/shm"
S3_OUTPUT = "s3_secret"
"""Output of the first task: the secret with S3's keys, or the name of none. Only a run's inputs say whether it needs them."""
SECRETS_PATH = "/globe-secrets"
"""Where secrets are mounted as files if a backend cannot say that a variable's secret may be missing."""
SCRATCH, SCRATCH_PATH = "scratch", "/scratch"
"""Where files from S3 are mirrored: the same path in every pod."""
CACHE_FOLDER = "cache"
"""On the claim: what all pods may keep for each other, such as archives' indexes."""
METRICS_PORT = "9464"
WAITING = {"cpu": "4", "memory": "64Gi"}
"""Of a stage's pod whose TrainJob trains: it writes the pictures, waits, and publishes the weights."""
_cluster: ContextVar[Cluster | None] = ContextVar("cluster", default=None)
_backend: ContextVar[Backend] = ContextVar("backend", default=NEWEST)


@contextmanager
def placed_in(cluster: Cluster | None, backend: Backend) -> Iterator[None]:
    """Build pipelines for a cluster and its backend within a `with` block; None is a laptop."""
    tokens = _cluster.set(cluster), _backend.set(backend)
    try:
        yield
    finally:
        _cluster.reset(tokens[0])
        _backend.reset(tokens[1])


def backend() -> Backend:
    """The backend that a pipeline is being built for."""
    return _backend.get()


def cluster_settings() -> dict[str, Any]:
    """What stages need to know about the cluster: where servers go, which secrets there are. Empty on a laptop."""
    cluster = _cluster.get()
    return cluster.for_stages(image("serve"), image("evaluate"), image("train")) if cluster else {}


def place(
    task: dsl.PipelineTask, stage: Stage, cluster: Cluster | None, backend: Backend, first: dsl.PipelineTask | None = None
) -> None:
    """Set where a task runs.

    Args:
        task: The task. If its stage has GPUs, its inputs `gpus`, `nodes` and `tolerations` say how many and where.
        stage: The stage's row.
        cluster: Where it will run; None for a laptop.
        backend: What runs it there.
        first: The pipeline's first task, if this one waits for it: it says whether the run needs S3's keys. Others have them.
    """
    task.set_caching_options(False)  # stages find finished work in the store themselves, and check it
    if stage.title:
        task.set_display_name(stage.title)
    if not cluster:
        return
    size = size_of(cluster, stage)
    task.set_cpu_request(size.cpu).set_memory_request(size.memory).set_memory_limit(size.memory)
    secrets = cluster.secrets_of(stage.name)
    _pod(task, size, cluster, backend)
    _store(task, cluster)
    _secrets(task, secrets, cluster, backend, first)
    nodes = cluster.nodes_of(stage.name)
    _supervise(task, stage, size, {} if backend.optional_secrets else secrets, nodes)
    if stage.gpus and nodes == 1:
        _gpus(task, size, cluster, backend)
    if stage.trains:
        _metrics(task, backend)
    if size.retries:
        _retry(task, size.retries, cluster, backend)
    if size.deadline_s:
        kubernetes.set_timeout(task, size.deadline_s)


def size_of(cluster: Cluster, stage: Stage) -> Size:
    """The size of a task: its row's, with what the profile says instead."""
    if cluster.nodes_of(stage.name) > 1:
        return stage.size.model_copy(update=WAITING)
    return cluster.size_of(stage.name, stage.size)


def _gpus(task: dsl.PipelineTask, size: Size, cluster: Cluster, backend: Backend) -> None:
    inputs = task.inputs
    task.set_accelerator_type(cluster.gpu_resource).set_accelerator_limit(inputs[GPUS_INPUT])
    kubernetes.empty_dir_mount(task, SHM, SHM_PATH, medium="Memory", size_limit=size.shm)
    kubernetes.add_node_selector_json(task, inputs["nodes"])
    kubernetes.add_toleration_json(task, inputs["tolerations"])
    if cluster.queue and backend.pod_labels:
        kubernetes.add_pod_label(task, QUEUE_LABEL, cluster.queue)


def _metrics(task: dsl.PipelineTask, backend: Backend) -> None:
    """Let Prometheus scrape the pod, by the annotations that its usual configuration looks for."""
    task.set_env_variable(PORT_VARIABLE, METRICS_PORT)
    task.set_env_variable(HOST_VARIABLE, ALL_ADDRESSES)
    if backend.pod_labels:
        kubernetes.add_pod_annotation(task, "prometheus.io/scrape", "true")
        kubernetes.add_pod_annotation(task, "prometheus.io/port", METRICS_PORT)


def _supervise(task: dsl.PipelineTask, stage: Stage, size: Size, secret_files: Mapping[str, Sequence[str]], nodes: int) -> None:
    options = ["--stage", stage.name, "--retries", str(size.retries)]
    if stage.gpus:
        options += ["--gpus-input", GPUS_INPUT] + (["--nodes", str(nodes)] if nodes > 1 else [])
    for name, keys in secret_files.items():
        options += ["--secret", f"{SECRETS_PATH}/{name}:{','.join(keys)}"]
    task.container_spec.command = [*SUPERVISE, *options, "--", *task.container_spec.command]


def _retry(task: dsl.PipelineTask, retries: int, cluster: Cluster, backend: Backend) -> None:
    """Have the backend start another pod where one is lost. What fails inside a pod is tried again there.

    A backend that starts a pod again after any failure is allowed one more, or its retries would multiply with the pod's own.
    """
    pods = 1 if backend.retries_failures else retries
    # Argo counts the longest time from the start of the first attempt, so anything shorter than the run would forbid a retry.
    longest_s = cluster.deadline_s or YEAR_S
    task.set_retry(pods, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration=f"{longest_s}s")


def _pod(task: dsl.PipelineTask, size: Size, cluster: Cluster, backend: Backend) -> None:
    if backend.pod_security:
        kubernetes.set_security_context(task, run_as_user=USER_ID, run_as_group=GROUP_ID, run_as_non_root=True)
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "globe")
    for label, value in NO_SIDECAR.items():  # the backend says so too, but by an annotation, which Istio has replaced
        kubernetes.add_pod_label(task, label, value)
    kubernetes.empty_dir_mount(task, SCRATCH, SCRATCH_PATH, size_limit=size.scratch)
    task.set_env_variable(SCRATCH_VARIABLE, SCRATCH_PATH)
    kubernetes.use_field_path_as_env(task, RUN_VARIABLE, RUN_ID_FIELD)
    if cluster.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, cluster.image_pull_secrets)
    kubernetes.set_image_pull_policy(task, "IfNotPresent")


def _store(task: dsl.PipelineTask, cluster: Cluster) -> None:
    # No version of KFP can mount a claim read-only, and every stage that is told the store writes its record there.
    if cluster.claim:
        kubernetes.mount_pvc(task, cluster.claim, cluster.mount_path)
        # So that an archive is listed once, and not by each pod. Nobody signs what lies there: a run that signs lists for itself.
        if not cluster.signing_secret:
            task.set_env_variable(CACHE_VARIABLE, f"{cluster.mount_path}/{CACHE_FOLDER}")
    for name, value in cluster.signing_variables().items():
        task.set_env_variable(name, value)


def _secrets(
    task: dsl.PipelineTask,
    secrets: Mapping[str, Sequence[str]],
    cluster: Cluster,
    backend: Backend,
    first: dsl.PipelineTask | None,
) -> None:
    for name, keys in secrets.items():
        source = first.outputs[S3_OUTPUT] if first and name == cluster.s3_secret() else name
        # Optional: a missing secret, or key, would keep the pod waiting forever. The first task says what is missing.
        if backend.optional_secrets:
            kubernetes.use_secret_as_env(task, source, {key: key for key in keys}, optional=True)
        else:
            _require_volume_name(name, cluster, backend)
            kubernetes.use_secret_as_volume(task, source, f"{SECRETS_PATH}/{name}", optional=True)


def _require_volume_name(secret: str, cluster: Cluster, backend: Backend) -> None:
    """A backend names a secret's volume after it."""
    if "." in secret or len(secret) > 63 or secret in (cluster.claim, SHM, SCRATCH):
        raise InputError(
            f"secrets: {secret}: KFP {backend.version} names a volume after it, so it must be another name than the claim's, "
            f"{SHM!r} and {SCRATCH!r}, without dots, and of at most 63 characters"
        )


def fit(specification: Any, backend: Backend) -> None:
    """Take out what a backend would skip or trip over: names beside keys, retries inside of groups.

    Args:
        specification: KFP's `PipelineSpec` of a whole pipeline; changed in place.
        backend: What will run it.
    """
    for name, component in [("root", specification.root), *specification.components.items()]:
        for key, task in component.dag.tasks.items():
            named = backend.loop_names if task.HasField("parameter_iterator") else backend.display_names
            if not named:
                task.task_info.name = key
            if name != "root" and not backend.retries_in_groups:
                task.ClearField("retry_policy")


def pipeline_config(cluster: Cluster | None, backend: Backend) -> dsl.PipelineConfig:
    """How long a run may take, and how long its pods are kept."""
    if not cluster or not backend.run_limits:
        return dsl.PipelineConfig()
    ttl_s = cluster.ttl_s or None
    return dsl.PipelineConfig(
        ttl_seconds_after_finished=ttl_s,
        # These two as well: the defaults that KFP gives Argo, an hour each, would win over the first.
        ttl_seconds_after_success=ttl_s,
        ttl_seconds_after_failure=ttl_s,
        active_deadline_seconds=cluster.deadline_s or None,
    )
