"""Servers as pods of a cluster: a Deployment and a Service for each are applied, waited for, and deleted by the run's label."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Cluster, Place
from globe.run.events import Reporter
from globe.serving.cleanup import mark_home, remove
from globe.serving.diagnosis import is_up
from globe.serving.kube import Kube, Object, connect, to_apply
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
from globe.serving.rollout import Rollout
from globe.serving.server_key import GROUPS_TOO, forget_keys, make_key, stored_key
from globe.serving.server_use import ServerUse, record, server_use


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
            GlobeError: One did not come up, with its reason. What this call has made is deleted then, and a server that was up
                before it, with other weights or settings, is as it was.
        """
        manifests = {name: self._manifests(name, model, recipe) for name, model in models.items()}
        before = {name: self._serving(deployment["metadata"]["name"]) for name, (deployment, _) in manifests.items()}
        try:
            for deployment, service in manifests.values():
                mark_home(deployment, service)
                self.kube.take(service, reporter.note)
                self.kube.take(deployment, reporter.note)
            for name in models:
                self._rollout(name).wait(recipe.startup_timeout_s, self.cluster.server_schedule_timeout_s, reporter.note)
            return {name: self._url(name) for name in models}
        except BaseException:
            for name, served in before.items():
                self._roll_back(name, served, reporter.note)
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
        self._rollout(model).require_up()

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

    def _rollout(self, model: str) -> Rollout:
        name, labels = server_name(self.place.run, model), run_labels(self.place.run, model)
        return Rollout(self.kube, name, labels, f"the vLLM server for {model}")

    def _serving(self, name: str) -> Object | None:
        """A Deployment that is up; what is not up is worth no way back."""
        deployment = self.kube.get("Deployment", name)
        return deployment if deployment and is_up(deployment) else None

    def _roll_back(self, model: str, served: Object | None, note: Callable[[str], None]) -> None:
        """Undo what a failed call did for a model: delete what it made, or give the server its former pods back."""
        try:
            if served is None:
                self.stop(only=model)
            elif self._changed(served):
                self.kube.take(to_apply(served), note)
                note(f"{served['metadata']['name']}: rolled back to what it served before")
        except GlobeError as error:  # the failure that led here is what the user needs to see; tear-down tries again
            note(f"what was changed for {model} is left to the tear-down: {error}")

    def _changed(self, served: Object) -> bool:
        now = self.kube.get("Deployment", served["metadata"]["name"])
        return now is not None and now["metadata"]["generation"] != served["metadata"]["generation"]

    def _pods(self, model: str) -> list[Object]:
        return self._rollout(model).pods()

    def _url(self, model: str) -> str:
        name = server_name(self.place.run, model)
        if not self.cluster.host_network:
            return f"http://{name}.{self.kube.namespace}.svc.cluster.local:{PORT}/v1"
        addresses = [pod["status"].get("podIP") for pod in self._pods(model) if "deletionTimestamp" not in pod["metadata"]]
        return f"http://{addresses[0]}:{host_port(name)}/v1"
