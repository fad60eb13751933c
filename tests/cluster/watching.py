"""What is seen of a run while it goes on: its servers, and what is inside a pod."""

import time
from contextlib import suppress

from cluster_tools import kubectl
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pods import Running
from runs import Site

MODEL, RUN = "globe.dev/model", "globe.dev/run"
ASKED = {"grpo": "reward_model", "evaluation": "policy"}
"""Which model's server a stage asks."""
SERVING = {"reward-service": "reward_model", "serving": "policy"}
"""Which model's server a stage makes."""
WATCHED = (*SERVING, *ASKED)
PAUSE_S = 1.0
LOOKED_INTO = ("curation", "sft")
"""Stages whose pods run long enough for it: one that asks teachers, and one that trains."""


class Watch:
    """Watches a run: give its method `look` to `Site.run` as `meanwhile`.

    Attributes:
        models: Models that were served.
        limits: Resource limits of each server's pod, as the API server has them.
        logs: Newest log of each server's pod.
        environments: Variables of the processes inside the pods of some stages, by stage.
    """

    def __init__(self, place: Site) -> None:
        self.place, self.core = place, client.CoreV1Api(place.api)
        self.models: set[str] = set()
        self.limits: dict[str, dict[str, str]] = {}
        self.logs: dict[str, str] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.ready: set[str] = set()
        self._next = 0.0

    def look(self, running: Running) -> str:
        """Look at the servers, at most once a second."""
        if running.stage in LOOKED_INTO and "GLOBE_RUN_ID" not in self.environments.get(running.stage, {}):
            of_all = ["sh", "-c", r"cat /proc/[0-9]*/environ | tr '\0' '\n'"]  # of the supervisor, and of what it has started
            with suppress(RuntimeError):  # it has just ended
                lines = kubectl("-n", self.place.namespace, "exec", running.name, "-c", "main", "--", *of_all).splitlines()
                self.environments[running.stage] = dict(line.split("=", 1) for line in lines if "=" in line)
        if running.stage not in WATCHED or time.monotonic() < self._next:  # the others' pods end while one looks away
            return ""
        found = [one for one in self._servers() if not one.metadata.deletion_timestamp]
        for pod in found:
            self.models.add(pod.metadata.labels[MODEL])
            self.limits[pod.metadata.name] = dict(pod.spec.containers[0].resources.limits or {})
            with suppress(ApiException):  # not started yet
                self.logs[pod.metadata.name] = self.core.read_namespaced_pod_log(pod.metadata.name, self.place.namespace)
        self.ready = {
            pod.metadata.labels[MODEL]
            for pod in found
            if any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or [])
        }
        self._next = time.monotonic() + PAUSE_S
        return ""

    def asked_by(self, stage: str) -> str:
        """The model whose server a stage can ask now; empty for none."""
        model = ASKED.get(stage, "")
        return model if model in self.ready else ""

    def kill_server(self, model: str) -> None:
        """Kill the pods of a model's server; its Deployment starts others."""
        for pod in self._servers():
            if pod.metadata.labels[MODEL] == model:
                self.core.delete_namespaced_pod(pod.metadata.name, self.place.namespace, grace_period_seconds=1)
        self.ready.discard(model)

    def _servers(self):
        return self.core.list_namespaced_pod(self.place.namespace, label_selector=RUN).items


def is_in_the_middle(watch: Watch, running: Running) -> bool:
    """Whether a pod has begun its work and not ended it: a trainer has saved a state, a server has been made."""
    if running.stage in ("sft", "grpo"):
        return any(watch.place.store.glob(f"{running.stage}/*/**/checkpoint-*"))
    if running.stage in SERVING:
        return SERVING[running.stage] in watch.models
    return running.seconds >= AFTER_S.get(running.stage, 0.0)


AFTER_S = {"curation": 4.0, "baselines": 6.0, "reward-model": 15.0, "evaluation": 4.0}
"""Seconds after which a stage is in its middle; the others take about two."""
