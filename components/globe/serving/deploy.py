"""Servers as pods of a cluster: a Deployment and a Service for each are applied, waited for, and deleted by the run's label."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from globe.console import say
from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Cluster, Place
from globe.run.events import Reporter
from globe.serving.cleanup import mark_home, remove
from globe.serving.diagnosis import FOREVER, Diagnosis, diagnose, is_scheduled, is_up, last_words
from globe.serving.kube import Conflict, Kube, Object, connect
from globe.serving.manifest import (
    MODEL_LABEL,
    PORT,
    cluster_of,
    host_port,
    run_labels,
    server_manifests,
    server_name,
)
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import GROUPS_TOO, forget_keys, make_key, stored_key
from globe.serving.server_use import ServerUse, record, server_use

POLL_S = 2.0
LOG_LINES = 400


def deployments(place: Place) -> "Deployments":
    """The launcher for a cluster.

    Raises:
        InputError: The cluster settings are wrong.
        GlobeError: There is no way into a cluster.
    """
    cluster = cluster_of(place)
    return Deployments(place, cluster, connect(cluster.namespace))


@dataclass(frozen=True)
class Deployments:
    """Launcher of servers as Deployments, which a later task finds by the run's label."""

    place: Place
    cluster: Cluster
    kube: Kube

    @property
    def logs(self) -> Path:
        """Folder for the stage's log where the run has no common one: the pod's own, which ends with it."""
        return Path(tempfile.gettempdir())

    def start(self, models: Mapping[str, Checkpoint], recipe: ServingRecipe, reporter: Reporter, *, wait: bool) -> dict[str, str]:
        """Apply each model's Deployment and Service and wait until all of them answer.

        Args:
            models: Checkpoint by the model name it is served under.
            recipe: Serving settings.
            reporter: Told what is being waited for.
            wait: Ignored: waiting here costs a small pod, waiting in the stage that will ask costs its GPUs.

        Returns:
            Base URL by model name.

        Raises:
            InputError: Settings that do not fit together.
            GlobeError: One did not come up, with its reason; all of them are deleted then.
        """
        manifests = {name: self._manifests(name, model, recipe) for name, model in models.items()}
        try:
            for deployment, service in manifests.values():
                mark_home(deployment, service)
                self._apply(service, reporter)
                self._apply(deployment, reporter)
            for name in models:
                self._wait(name, recipe.startup_timeout_s, reporter)
            return {name: self._url(name) for name in models}
        except BaseException:
            for name in models:
                self._clean_up(name, reporter)
            raise

    def stop(self, only: str = "") -> list[str]:
        """Delete what this run has created, all of it or that for one model, and wait until its pods are gone.

        Returns:
            The models whose server was there.

        Raises:
            GlobeError: A pod is still there after five minutes.
        """
        labels = run_labels(self.place.run, only)
        used = [self._use(deployment) for deployment in self.kube.find("Deployment", labels)]
        try:
            ended = remove(self.kube, labels)
        finally:
            for use in used:
                if use:
                    record(use, self.place)
        self._forget_keys(only)
        return sorted(one.model for one in ended if one.kind == "Deployment")

    def require_alive(self, model: str) -> None:
        """Check that a model's server is up.

        Raises:
            GlobeError: It is not, with the reason.
        """
        name = server_name(self.place.run, model)
        deployment = self.kube.get("Deployment", name)
        if not deployment:
            raise GlobeError(f"the server for {model} is gone: there is no deployment {name} in {self.kube.namespace}")
        if not is_up(deployment):
            raise self._failure(model, self._diagnose(deployment, self._pods(model)))

    def _manifests(self, model: str, checkpoint: Checkpoint, recipe: ServingRecipe) -> tuple[Object, Object]:
        key = make_key(stored_key(self.place.store, self.place.run, model), GROUPS_TOO)
        return server_manifests(model, checkpoint, recipe, self.place, key)

    def _forget_keys(self, only: str) -> None:
        """Remove keys that open nothing any more; if the store does not answer, they stay, and are worth nothing."""
        if self.place.store:
            with suppress(GlobeError, OSError):
                forget_keys(self.place.store, self.place.run, only)

    def _use(self, deployment: Object) -> ServerUse | None:
        if not self.place.store:
            return None
        pods = self.kube.find("Pod", run_labels(self.place.run, deployment["metadata"]["labels"][MODEL_LABEL]))
        return server_use(deployment, pods, self.cluster.gpu_resource)

    def _apply(self, manifest: Object, reporter: Reporter) -> None:
        try:
            self.kube.apply(manifest)
        except Conflict as conflict:  # somebody has edited it by hand; this run needs it as it says
            reporter.note(f"taking back: {conflict}")
            self.kube.apply(manifest, force=True)

    def _wait(self, model: str, startup_timeout_s: float, reporter: Reporter) -> None:
        """Wait until a server answers, with a note each time the reason for waiting changes."""
        name = server_name(self.place.run, model)
        watch = _Patience(startup_timeout_s, self.cluster.server_schedule_timeout_s)
        told = ""
        while True:
            deployment = self.kube.get("Deployment", name)
            if not deployment:
                raise GlobeError(f"the server for {model}: somebody has deleted deployment {name} in {self.kube.namespace}")
            if is_up(deployment):
                return
            pods = self._pods(model)
            diagnosis = self._diagnose(deployment, pods)
            ended = watch.ended(diagnosis, is_scheduled(pods))
            if ended:
                raise self._failure(model, diagnosis, ended)
            if diagnosis.text != told:
                told = diagnosis.text
                reporter.note(f"{name}: {told}")
            time.sleep(POLL_S)

    def _clean_up(self, model: str, reporter: Reporter) -> None:
        try:
            self.stop(only=model)
        except GlobeError as error:  # the failure that led here is what the user needs to see; tear-down tries again
            reporter.note(f"what was created for {model} is left to the tear-down: {error}")

    def _pods(self, model: str) -> list[Object]:
        return self.kube.find("Pod", run_labels(self.place.run, model))

    def _diagnose(self, deployment: Object, pods: list[Object]) -> Diagnosis:
        return diagnose(deployment, pods, lambda pod: self.kube.events("Pod", pod))

    def _failure(self, model: str, diagnosis: Diagnosis, why: str = "") -> GlobeError:
        """The error for a server that is not up: the reason and its log's last words. The log itself goes to this stage's log."""
        words = ""
        if diagnosis.pod:
            log = self.kube.log(diagnosis.pod, diagnosis.container, previous=diagnosis.previous, lines=LOG_LINES)
            say(log)
            words = last_words(log)
        parts = [f"the vLLM server for {model} {why or 'is not up'}", diagnosis.text, words]
        return GlobeError(": ".join(part for part in parts if part))

    def _url(self, model: str) -> str:
        name = server_name(self.place.run, model)
        if not self.cluster.host_network:
            return f"http://{name}.{self.kube.namespace}.svc.cluster.local:{PORT}/v1"
        addresses = [pod["status"].get("podIP") for pod in self._pods(model) if "deletionTimestamp" not in pod["metadata"]]
        return f"http://{addresses[0]}:{host_port(name)}/v1"


class _Patience:
    """How long a server may take: to get a node, to start there, and to leave a state that rarely mends itself."""

    def __init__(self, startup_timeout_s: float, schedule_timeout_s: float) -> None:
        self.limits_s = {True: startup_timeout_s, False: schedule_timeout_s}
        self.scheduled = False
        self.scheduled_since = self.hopeful_until = time.monotonic()

    def ended(self, diagnosis: Diagnosis, scheduled: bool) -> str:
        """Why waiting ends now; empty to keep waiting."""
        now = time.monotonic()
        if scheduled != self.scheduled:
            self.scheduled, self.scheduled_since = scheduled, now
        if diagnosis.worth_waiting_s == FOREVER:
            self.hopeful_until = now
        if now - self.hopeful_until >= diagnosis.worth_waiting_s:
            return "does not start"
        limit_s = self.limits_s[scheduled]
        if now - self.scheduled_since > limit_s:
            return f"was not ready within {limit_s:.0f} s" if scheduled else f"got no node within {limit_s:.0f} s"
        return ""
