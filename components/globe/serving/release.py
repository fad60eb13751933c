"""Released models: a name that stays, and behind it the pods of one checkpoint after another.

A released model is a Service NAME (and NAME-peers, by which its gateways find each other) and a Deployment for each release. The
Services select the pods of one of them, and to promote is to change that selection: the new pods have all proven an answer by
then, and the old ones are ended afterwards. Their gateways go on answering on connections that are still open, so no request is
lost. The release before is kept without pods, to go back to.

Three parties own fields, so that none takes another's away: what is applied here as a whole, the number of replicas (which
`kubectl scale` or an autoscaler may own instead), and the Services' selection.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from globe.errors import GlobeError, InputError
from globe.serving.cleanup import BY_HAND, DELETION_TIMEOUT_S
from globe.serving.diagnosis import is_up
from globe.serving.kube import FIELD_MANAGER, Kube, Object, to_apply
from globe.serving.manifest import PART_OF, RUN_LABEL
from globe.serving.rollout import POLL_S, Rollout

NAME_LABEL, SLOT_LABEL = "globe.dev/released", "globe.dev/release"
VERSION_ANNOTATION, CHECKPOINT_ANNOTATION, DIGEST_ANNOTATION = "globe.dev/version", "globe.dev/checkpoint", "globe.dev/digest"
PROMOTED_ANNOTATION = "globe.dev/promoted"
SCALER, SWITCH = f"{FIELD_MANAGER}-replicas", f"{FIELD_MANAGER}-release"
"""Field managers of a Deployment's replicas and of a Service's selector."""
KINDS = ("Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy", "ServiceAccount")

Note = Callable[[str], None]


def nothing() -> None:
    """What there is to check for whoever is the only one to say what a name leads to."""


@dataclass(frozen=True)
class Wanted:
    """A release, as it is to be."""

    name: str
    version: str
    """The same for the same pods: a digest of their template."""
    deployment: Object
    services: tuple[Object, ...]
    others: tuple[Object, ...] = ()
    """What all releases of the name share."""
    replicas: int | None = None
    """None for as many as there are, or one."""
    startup_timeout_s: float = 1800.0
    schedule_timeout_s: float = 600.0

    def at(self, slot: str) -> Object:
        """Its Deployment, whose name and selector hold a slot."""
        deployment = copy.deepcopy(self.deployment)
        metadata, spec = deployment["metadata"], deployment["spec"]
        metadata["name"] = deployment_name(self.name, slot)
        metadata.setdefault("annotations", {})[VERSION_ANNOTATION] = self.version
        for labels in (metadata["labels"], spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
            labels[SLOT_LABEL] = slot
        spec.pop("replicas", None)  # its own manager's
        return deployment


@dataclass(frozen=True)
class Row:
    """A released model, as it is."""

    name: str
    version: str
    checkpoint: str
    digest: str
    replicas: int
    ready: int
    kept: str
    """The version that a rollback goes to; empty for none."""


class Releases:
    """The released models of a namespace."""

    def __init__(self, kube: Kube, note: Note) -> None:
        self.kube = kube
        self.note = note

    def release(self, wanted: Wanted, *, in_place: bool = False, wait: bool = False, still: Callable[[], None] = nothing) -> bool:
        """Serve a checkpoint under a name, in place of whatever is served there.

        Args:
            wanted: The release.
            in_place: Replace pod by pod instead of starting the new ones beside the old: needs no room for both.
            wait: Also wait until the old pods have ended.
            still: Raises if this release is not wanted any more; asked before anything is begun, and before the name moves.

        Returns:
            Whether anything was to be done; the same call again changes nothing.

        Raises:
            InputError: The name is taken by something else.
            GlobeError: The release did not come up, with its reason; then what was served before still is.
        """
        still()
        active = self._active(wanted.name)
        there = self._deployments(wanted.name)
        before = there.get(active)
        replicas = wanted.replicas or (before["spec"]["replicas"] if before else 0) or 1
        same = before is not None and version_of(before) == wanted.version
        unchanged = same and before is not None and is_up(before) and before["spec"]["replicas"] == replicas
        shared = (*wanted.others, *wanted.services)
        made = [one for one in shared if not self._of(wanted.name, one["kind"], one["metadata"]["name"])]
        slot = active if before is not None and (same or in_place) else _slot(wanted.version, there)
        try:
            for one in wanted.others:
                self.kube.take(one, self.note)
            self._bring_up(wanted, slot, replicas, there.get(slot), keep=slot == active)
            self._switch(wanted, active, slot, there.get(slot), still)
        except BaseException:
            if not active:  # nothing was served before: nothing stays
                self._withdraw(wanted.name, "" if slot in there else slot, made)
            raise
        self._retire(wanted.name, slot, keep=active, wait=wait)
        return not unchanged

    def roll_back(self, name: str, timeouts_s: tuple[float, float], *, wait: bool = False) -> str:
        """Serve the release before the present one again, which is kept in its place.

        Args:
            name: The stable name.
            timeouts_s: For a pod to start, and to get a node.
            wait: As `release`.

        Returns:
            The version that is served now.

        Raises:
            InputError: There is none to go back to.
            GlobeError: It did not come up, with its reason; then the present one still serves.
        """
        active = self._require(name)
        there = self._deployments(name)
        slot = _last(there, active)
        if not slot:
            raise InputError(
                f"--rollback {name}: no former release is kept (one replaced with --in-place is not); deploy it again"
            )
        replicas = there[active]["spec"]["replicas"] if active in there else 1
        self._come_up(name, slot, max(1, replicas), timeouts_s, undo=lambda: self._put_back(name, slot, there[slot]))
        self._select(name, slot)
        self._retire(name, slot, keep=active, wait=wait)
        return version_of(there[slot])

    def require_free(self, name: str) -> None:
        """Check that a name is free or a released model's, and that this account may see all that one is made of.

        Raises:
            InputError: The name is taken by something else.
            GlobeError: The account has no right to one of the kinds, or the cluster does not answer.
        """
        self._active(name)
        for kind in KINDS:
            self._of(name, kind, name)

    def rows(self) -> list[Row]:
        """All released models."""
        found = []
        for service in self.kube.find("Service", PART_OF | {NAME_LABEL: ""}):
            name, slot = service["metadata"]["name"], _selected(service)
            if name == service["metadata"]["labels"][NAME_LABEL] and slot:
                found.append(self._row(name, slot))
        return sorted(found, key=lambda row: row.name)

    def remove(self, name: str) -> list[str]:
        """Delete all that was made for a name, and nothing else, and wait until its pods have ended.

        Returns:
            What was there, as KIND NAME.

        Raises:
            InputError: There was nothing.
            GlobeError: A pod is still there after five minutes.
        """
        labels = PART_OF | {NAME_LABEL: name}
        there = [(kind, one["metadata"]["name"]) for kind in KINDS for one in self.kube.find(kind, labels)]
        if not there:
            raise InputError(f"--remove {name}: no released model of that name is in namespace {self.kube.namespace}")
        for kind, one in there:
            self.kube.delete(kind, one)
        self._await_no_pods(labels)
        return [f"{kind} {one}" for kind, one in there]

    def _bring_up(self, wanted: Wanted, slot: str, replicas: int, before: Object | None, *, keep: bool) -> None:
        """Have a release's pods, all of them proven, or its slot as it was before."""

        def undo() -> None:
            if not keep:
                self._put_back(wanted.name, slot, before)
            elif before is not None:
                if version_of(before) != wanted.version:  # replaced in place: the former pods come back
                    self.kube.take(to_apply(before), self.note)
                self._scale(wanted.name, slot, before["spec"]["replicas"])

        if before is None or wanted.version == version_of(before) or keep:
            self.kube.take(wanted.at(slot), self.note)
        if keep and before is not None and wanted.version != version_of(before) and replicas == 1:
            self.note(f"{wanted.name}: has one replica, which is replaced in place: requests fail until the new one is ready")
        self._come_up(wanted.name, slot, replicas, (wanted.startup_timeout_s, wanted.schedule_timeout_s), undo)

    def _come_up(self, name: str, slot: str, replicas: int, timeouts_s: tuple[float, float], undo: Callable[[], None]) -> None:
        try:
            self._scale(name, slot, replicas)
            rollout = Rollout(self.kube, deployment_name(name, slot), pod_labels(name, slot), f"release {slot} of {name}")
            rollout.wait(*timeouts_s, self.note)
        except BaseException as failure:
            try:
                undo()
            except GlobeError as error:
                raise GlobeError(f"{failure}; and what was begun is still there: {error}") from failure
            raise

    def _put_back(self, name: str, slot: str, before: Object | None) -> None:
        """Leave a slot as it was before, unless another call has promoted this very release meanwhile."""
        if self._active(name) == slot:
            return
        if before is None:
            self.kube.delete("Deployment", deployment_name(name, slot))
        else:
            self._scale(name, slot, before["spec"]["replicas"])

    def _withdraw(self, name: str, slot: str, made: Sequence[Object]) -> None:
        """Remove what a first release has made, but nothing that another call's release of the name needs by now."""
        if slot:
            self._put_back(name, slot, None)
        if any("deletionTimestamp" not in one["metadata"] for one in self._deployments(name).values()):
            return
        for one in made:
            self.kube.delete(one["kind"], one["metadata"]["name"])

    def _switch(
        self, wanted: Wanted, before: str, slot: str, slot_before: Object | None, still: Callable[[], None] = nothing
    ) -> None:
        """Lead the name to a slot's pods, unless somebody has led it elsewhere meanwhile; another call may have led it there."""
        try:
            still()
        except BaseException:
            self._put_back(wanted.name, slot, slot_before)
            raise
        now = self._active(wanted.name)
        if now not in (before, slot):
            self._put_back(wanted.name, slot, slot_before)
            raise GlobeError(
                f"{wanted.name}: somebody has promoted release {now} meanwhile; that stays, deploy again to replace it"
            )
        for service in wanted.services:
            manifest = copy.deepcopy(service)
            manifest["spec"].pop("selector", None)
            self.kube.take(manifest, self.note)
        peers = self.kube.get("Service", peers_name(wanted.name))
        if slot != now or not peers or _selected(peers) != slot:  # one that somebody has deleted is new, and leads nowhere yet
            self._select(wanted.name, slot)

    def _select(self, name: str, slot: str) -> None:
        # The peers first: an old gateway that is about to drain then already finds the new ones.
        self._annotate(name, slot, {PROMOTED_ANNOTATION: datetime.now(UTC).isoformat(timespec="milliseconds")})
        for service in (peers_name(name), name):
            spec = {"selector": pod_labels(name, slot)}
            manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": service}, "spec": spec}
            self.kube.apply(manifest, force=True, manager=SWITCH)

    def _retire(self, name: str, slot: str, *, keep: str, wait: bool) -> None:
        """End the pods of all other releases; the one to go back to stays without pods, older ones go."""
        there = self._deployments(name)
        kept = keep if keep != slot else _last(there, slot)
        for other in there:
            if other == slot:
                continue
            if other == kept:
                self._scale(name, other, 0)
            else:
                self.kube.delete("Deployment", deployment_name(name, other))
            if wait:
                self._await_no_pods(pod_labels(name, other))

    def _annotate(self, name: str, slot: str, annotations: dict[str, str]) -> None:
        metadata = {"name": deployment_name(name, slot), "annotations": annotations}
        self.kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}, force=True, manager=SWITCH)

    def _scale(self, name: str, slot: str, replicas: int) -> None:
        metadata = {"name": deployment_name(name, slot)}
        manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
        self.kube.apply(manifest, force=True, manager=SCALER)

    def _active(self, name: str) -> str:
        """The slot that a name leads to; empty for a name that is free.

        Raises:
            InputError: A Service of that name, or the peers', was not made here.
        """
        self._of(name, "Service", peers_name(name))
        found = self._of(name, "Service", name)
        return _selected(found) if found else ""

    def _of(self, name: str, kind: str, one: str) -> Object | None:
        """An object of a released model, or None.

        Raises:
            InputError: It is there, but was not made here.
        """
        found = self.kube.get(kind, one)
        if found and found["metadata"].get("labels", {}).get(NAME_LABEL) != name:
            where = f"{kind.lower()} {one} in {self.kube.namespace}"
            raise InputError(f"--name {name}: {where} is not one of `globe deploy`; take another name")
        return found

    def _require(self, name: str) -> str:
        active = self._active(name)
        if not active:
            raise InputError(f"{name}: no released model of that name is in namespace {self.kube.namespace}")
        return active

    def _deployments(self, name: str) -> dict[str, Object]:
        found = self.kube.find("Deployment", released_labels(name))
        named = [self.kube.get("Deployment", one["metadata"]["name"]) for one in found]  # a list's items lack their kind
        return {one["metadata"]["labels"][SLOT_LABEL]: one for one in named if one}

    def _row(self, name: str, slot: str) -> Row:
        there = self._deployments(name)
        active = there.get(slot, {"metadata": {}, "spec": {"replicas": 0}})
        annotations: dict[str, Any] = active["metadata"].get("annotations", {})
        kept = _last(there, slot)
        return Row(
            name,
            annotations.get(VERSION_ANNOTATION, ""),
            annotations.get(CHECKPOINT_ANNOTATION, ""),
            annotations.get(DIGEST_ANNOTATION, ""),
            active["spec"]["replicas"],
            active.get("status", {}).get("availableReplicas", 0),
            version_of(there[kept]) if kept else "",
        )

    def _await_no_pods(self, labels: dict[str, str]) -> None:
        deadline = time.monotonic() + DELETION_TIMEOUT_S
        while left := self.kube.find("Pod", labels):
            if time.monotonic() > deadline:
                names = ", ".join(pod["metadata"]["name"] for pod in left)
                raise GlobeError(f"still there {DELETION_TIMEOUT_S:.0f} s after they were told to end: {names}")
            time.sleep(POLL_S)


def deployment_name(name: str, slot: str) -> str:
    """Name of a release's Deployment."""
    return f"{name}-{slot}"


def peers_name(name: str) -> str:
    """Name of the Service by which a released model's gateways find each other."""
    return f"{name}-peers"


def released_labels(name: str) -> dict[str, str]:
    """Labels of all that is made for a name: never a run's, whose tear-down would remove it."""
    return PART_OF | {RUN_LABEL: BY_HAND, NAME_LABEL: name}


def pod_labels(name: str, slot: str) -> dict[str, str]:
    """Labels that select one release's pods."""
    return {"app.kubernetes.io/name": "globe-serving", NAME_LABEL: name, SLOT_LABEL: slot}


def version_of(deployment: Object) -> str:
    """What a Deployment serves: the version that is written on it."""
    return str(deployment["metadata"].get("annotations", {}).get(VERSION_ANNOTATION, ""))


def _selected(service: Object) -> str:
    return str(service["spec"].get("selector", {}).get(SLOT_LABEL, ""))


def _last(there: dict[str, Object], active: str) -> str:
    """The slot that was promoted last before the active one; empty for none. What never was is left by a call that was killed."""
    when = {slot: one["metadata"].get("annotations", {}).get(PROMOTED_ANNOTATION, "") for slot, one in there.items()}
    return max((slot for slot in there if slot != active and when[slot]), key=lambda slot: when[slot], default="")


def _slot(version: str, there: dict[str, Object]) -> str:
    """A free slot for a version: named after it, unless another version was put there in place."""
    slot, number = version, 1
    while slot in there and version_of(there[slot]) != version:
        number += 1
        slot = f"{version}-{number}"
    return slot
