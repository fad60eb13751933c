"""Run a compiled package's tasks as pods of a real cluster, in the place of a KFP backend.

KFP's local orchestrator walks the graph of the package; each task's pod is the one that the backend's driver would make of it
(tests/contract/backend/pod.py); what Argo does when a pod is lost, fails, or belongs to a run that is terminated is here. What a
backend does beside that (its launcher and artifact store, caching, metadata) is not: artifacts lie in a folder of the node.
"""

import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from backend.package import ROOT, Package, Task
from backend.pod import Source, pod_of
from kfp.local import docker_task_handler, status, task_dispatcher
from kfp.local.orchestrator import task_executor
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from globe.serving.kube import NAMESPACE_FILE
from pipelines.backends import Backend

POLL_S = 0.2
KUBECONFIG_FOLDER = "/kube"
UNSCHEDULABLE_S = 20
GRACE_S = 1
"""How long a pod that is killed has: KFP's launcher ends at once on SIGTERM, and the container with it."""
DEFAULT_LIMIT = 2
"""Retries of a task without a policy of its own on a backend whose Argo settings retry lost pods."""
KILL, TERMINATE, DELETE = "kill", "terminate", "delete"
"""What may happen to a pod: it is lost; its run is terminated; its run is deleted, and no task of it is started any more."""


class Running(NamedTuple):
    """A pod whose container runs."""

    stage: str
    name: str
    attempt: int
    seconds: float


class Ended(NamedTuple):
    """How a pod ended."""

    stage: str
    name: str
    phase: str
    code: int | None
    unscheduled: list[str]
    """Why it got no node."""
    lost: bool
    limits: dict[str, str]
    """Of its main container, as the API server has them."""
    log: str

    @property
    def succeeded(self) -> bool:
        return self.phase == "Succeeded"


class _Current(threading.local):
    """The task that this thread runs."""

    task: Task
    retries: int
    look_up: Callable[[Source], Any]
    inputs: dict[str, Any]
    run_id: str


class Pods:
    """Runs the tasks of a package as pods of one namespace.

    Args:
        api: The official client's connection.
        namespace: Where.
        package: The compiled pipeline.
        backend: Whose package it is.
        always: Tolerations that every pod needs here.
        kubeconfig: Name of a secret with a key `config`, which pods get as their KUBECONFIG.
        meanwhile: Asked again and again while a container runs; it may return KILL, TERMINATE or DELETE.
    """

    def __init__(self, api, namespace, package: Package, backend: Backend, always, kubeconfig, meanwhile=lambda running: ""):
        self.core = client.CoreV1Api(api)
        self.namespace, self.package, self.backend = namespace, package, backend
        self.always, self.kubeconfig, self.meanwhile = always, kubeconfig, meanwhile
        self.history: list[Ended] = []
        self.terminated = self.deleted = False
        self.run_id = ""

    def use(self, monkeypatch):
        """Make the local orchestrator run the package's tasks as pods."""
        current = _Current()
        execute, dispatch = task_executor.execute_single_task, task_dispatcher.run_single_task_implementation
        pods = self

        def find(task_name, component, store):
            """The task, and how the driver resolves what its platform settings name: in the graph around it."""
            current.task = next(
                task for task in pods.package.pods() if (task.name, task.component_name) == (task_name, component)
            )

            def look_up(source):
                if "componentInputParameter" in source:
                    return store.get_parent_input(source["componentInputParameter"])
                output = source["taskOutputParameter"]
                return store.get_task_output(output["producerTask"], output["outputParameterKey"])

            current.look_up = look_up

        def in_its_graph(**named):
            definition = type(named["task_spec"])()
            definition.CopyFrom(named["task_spec"])
            current.retries = definition.retry_policy.max_retry_count
            definition.ClearField("retry_policy")  # whether a pod is started again is decided here, as Argo does it
            find(named["task_name"], definition.component_ref.name, named["io_store"])
            return execute(**named | {"task_spec": definition})

        def with_inputs(**named):
            current.inputs, current.run_id = named["arguments"], named["unique_pipeline_id"]
            return dispatch(**named)

        class Handler(docker_task_handler.DockerTaskHandler):
            def run(self):
                return status.Status.SUCCESS if pods.run_task(current, self) else status.Status.FAILURE

        monkeypatch.setattr(task_executor, "execute_single_task", in_its_graph)
        monkeypatch.setattr(task_dispatcher, "run_single_task_implementation", with_inputs)
        monkeypatch.setattr(docker_task_handler, "DockerTaskHandler", Handler)

    def run_task(self, current: _Current, handler) -> bool:
        """Run a task's pod, and its successors for as long as Argo would; True when one succeeded."""
        stage = current.task.executor.removeprefix("exec-")
        self.run_id = current.run_id
        pod = pod_of(current.task, current.inputs, self.backend, current.look_up, current.run_id)
        self._fit(pod["spec"], handler)
        for attempt in itertools.count():
            if self.deleted or (self.terminated and current.task.graph != ROOT):
                return False
            ended = self._run(stage, pod, attempt)
            if ended.succeeded:
                return True
            if self.terminated or attempt >= self._retries(current.task, current.retries, ended.lost):
                return False

    def _retries(self, task: Task, wanted: int, lost: bool) -> int:
        """How often Argo starts a pod again that was lost, or whose container failed.

        argo-workflows operator.go: processNodeRetries. By default a retryStrategy is for pods that failed; the settings that
        come with 2.17 make it one for pods that were lost, and give it to every task.
        """
        if lost:
            return (wanted or DEFAULT_LIMIT) if self.backend.retries_lost_pods else 0
        if self.backend.retries_lost_pods or (task.graph != ROOT and not self.backend.retries_in_groups):
            return 0
        return wanted

    def _fit(self, spec, handler):
        """What this cluster and the missing launcher need beside the driver's pod."""
        main = spec["containers"][0]
        main["command"], main["args"] = handler.full_command, []
        main["volumeMounts"].append({"name": "artifacts", "mountPath": handler.pipeline_root})
        spec["volumes"].append({"name": "artifacts", "hostPath": {"path": handler.pipeline_root}})
        connect(spec, self.kubeconfig, self.always)

    def _run(self, stage, pod, attempt) -> Ended:
        name = f"{stage}-{secrets.token_hex(3)}"
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **pod["metadata"]}, "spec": pod["spec"]}
        self.core.create_namespaced_pod(self.namespace, manifest)
        created, started, lost, log = time.monotonic(), None, False, ""
        while (seen := self._read(name)) is not None:
            found, now = seen, time.monotonic()
            waiting = [one.message for one in found.status.conditions or [] if one.reason == "Unschedulable"]
            if not lost and (found.status.phase in ("Succeeded", "Failed") or (waiting and now - created > UNSCHEDULABLE_S)):
                break
            if started is None and any(one.state.running for one in found.status.container_statuses or []):
                started = now
            order = "" if started is None or lost else self.meanwhile(Running(stage, name, attempt, now - started))
            if order:
                lost, log = True, self._log(name)
                self.terminated, self.deleted = self.terminated or order != KILL, order == DELETE
                self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=GRACE_S)
            time.sleep(POLL_S)
        return self._note(stage, found, waiting, lost, log or self._log(name))

    def _note(self, stage, pod, waiting, lost, log) -> Ended:
        codes = [one.state.terminated.exit_code for one in pod.status.container_statuses or [] if one.state.terminated]
        limits = dict(pod.spec.containers[0].resources.limits or {})
        phase = "Lost" if lost else pod.status.phase
        ended = Ended(stage, pod.metadata.name, phase, codes[0] if codes else None, waiting, lost, limits, log)
        self.history.append(ended)
        print(log[-2000:])
        print(f"[pod] {stage}: {phase} {ended.code} {limits} {waiting}", flush=True)
        return ended

    def _read(self, name):
        """The pod as the API server has it; None when it is gone."""
        try:
            return self.core.read_namespaced_pod(name, self.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def _log(self, name) -> str:
        try:
            return self.core.read_namespaced_pod_log(name, self.namespace)
        except ApiException:  # it never started, or it is gone
            return ""


def connect(spec, kubeconfig, tolerations):
    """Let a pod run on this cluster's nodes and reach its API: by the node's network, as the account that a kubeconfig names."""
    main, own_namespace = spec["containers"][0], {"fieldPath": "metadata.namespace"}
    main.setdefault("env", []).append({"name": "KUBECONFIG", "value": f"{KUBECONFIG_FOLDER}/config"})
    main["volumeMounts"] += [
        {"name": "kube", "mountPath": KUBECONFIG_FOLDER, "readOnly": True},
        {"name": "account", "mountPath": str(NAMESPACE_FILE.parent), "readOnly": True},
    ]
    spec["volumes"] += [
        {"name": "kube", "secret": {"secretName": kubeconfig, "defaultMode": 0o444}},
        {"name": "account", "downwardAPI": {"items": [{"path": NAMESPACE_FILE.name, "fieldRef": own_namespace}]}},
    ]
    spec["tolerations"] = [*spec.get("tolerations", []), *tolerations]
    spec |= {"restartPolicy": "Never", "hostNetwork": True, "automountServiceAccountToken": False}


def kubeconfig_of(account_token: str, server: str, namespace: str = "default") -> str:
    """A kubeconfig for a token of a namespace."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": account_token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
            "current-context": "x",
        }
    )
