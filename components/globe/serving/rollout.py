"""Wait until a Deployment's pods answer, or say in one line why they never will."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from globe.console import say
from globe.errors import GlobeError
from globe.serving.diagnosis import FOREVER, Diagnosis, diagnose, is_scheduled, is_up, last_words
from globe.serving.kube import Kube, Object

POLL_S = 2.0
LOG_LINES = 400


@dataclass(frozen=True)
class Rollout:
    """A Deployment that is coming up, and whose pods' labels are known."""

    kube: Kube
    name: str
    """The Deployment's."""
    labels: dict[str, str]
    """Labels that all of its pods have, and no others."""
    what: str
    """What it serves, for the user."""

    def wait(self, startup_timeout_s: float, schedule_timeout_s: float, note: Callable[[str], None]) -> None:
        """Wait until all its pods answer, with a note each time the reason for waiting changes.

        Args:
            startup_timeout_s: How long a pod may take once it has a node.
            schedule_timeout_s: How long it may take to get one.
            note: Told what is being waited for.

        Raises:
            GlobeError: It does not come up, with its reason, or somebody has deleted it.
        """
        patience = _Patience(startup_timeout_s, schedule_timeout_s)
        told = ""
        while True:
            deployment = self.kube.get("Deployment", self.name)
            if not deployment:
                raise GlobeError(f"{self.what}: somebody has deleted deployment {self.name} in {self.kube.namespace}")
            if is_up(deployment):
                return
            pods = self.pods()
            diagnosis = self._diagnose(deployment, pods)
            ended = patience.ended(diagnosis, is_scheduled(pods))
            if ended:
                raise self._failure(diagnosis, ended)
            if diagnosis.text != told:
                told = diagnosis.text
                note(f"{self.name}: {told}")
            time.sleep(POLL_S)

    def require_up(self) -> None:
        """Check that it is up now.

        Raises:
            GlobeError: It is not, with the reason.
        """
        deployment = self.kube.get("Deployment", self.name)
        if not deployment:
            raise GlobeError(f"{self.what} is gone: there is no deployment {self.name} in {self.kube.namespace}")
        if not is_up(deployment):
            raise self._failure(self._diagnose(deployment, self.pods()))

    def pods(self) -> list[Object]:
        """Its pods, those that are ending among them."""
        return self.kube.find("Pod", self.labels)

    def _diagnose(self, deployment: Object, pods: list[Object]) -> Diagnosis:
        return diagnose(deployment, pods, lambda pod: self.kube.events("Pod", pod))

    def _failure(self, diagnosis: Diagnosis, why: str = "") -> GlobeError:
        """The error for a server that is not up: the reason and its log's last words. The log itself goes to this stage's log."""
        words = ""
        if diagnosis.pod:
            log = self.kube.log(diagnosis.pod, diagnosis.container, previous=diagnosis.previous, lines=LOG_LINES)
            say(log)
            words = last_words(log)
        return GlobeError(": ".join(part for part in (f"{self.what} {why or 'is not up'}", diagnosis.text, words) if part))


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
