"""Why a server is not up, as one line: from its log, and in a cluster from its Deployment, its pods and their events."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.run.cluster import QUEUE_LABEL

Object = dict[str, Any]

FOREVER, FOR_A_WHILE, NOT_AT_ALL = math.inf, 120.0, 0.0
CRASHES = 2
"""Restarts after which a server that ends is not expected to stay up the next time."""
BAD_INPUT = 2
"""Exit code of our commands, for what no other attempt makes right."""
UNPULLABLE = {"InvalidImageName", "ErrImageNeverPull"}
PULLING = {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}
UNCREATABLE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"}
MAX_CHARACTERS, MAX_LOG_CHARACTERS = 500, 1200
LOG_END_BYTES = 200_000
"""How much of a log's end is read: the cause is above the tracebacks of three processes."""
_PREFIX = re.compile(r"^(\([^()]*pid=\d+\) )?((DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_CAUSE = re.compile(r"^[A-Za-z_.]*(Error|Exception|Exit|Interrupt): \S")
_ELSEWHERE = re.compile(r"root cause|stack trace", re.IGNORECASE)
_NO_WORDS = " \t\r^~-="


@dataclass(frozen=True)
class Diagnosis:
    """What a server is waiting for, or what keeps it from coming up."""

    text: str
    worth_waiting_s: float
    """How long this may last before it is hopeless."""
    pod: str = ""
    """Pod whose log may tell more; empty when none does."""
    container: str = ""
    previous: bool = False
    """Whether it is the log of the container before its last restart."""


def last_words(log: str, lines: int = 3) -> str:
    """Why a server has ended, from its log: the first error that names a cause, and the last lines that say something.

    vLLM's processes report each other's failures: the last lines only say that something failed, and to look above for what.

    Args:
        log: The log, or its end.
        lines: How many of the last lines.

    Returns:
        One line; empty for an empty log.
    """
    said = [_PREFIX.sub("", line).strip() for line in log.splitlines() if line.strip(_NO_WORDS)]
    said = [line for line in said if line.strip(_NO_WORDS) and not line.startswith("warnings.warn")]
    causes = [line for line in said if _CAUSE.match(line) and not _ELSEWHERE.search(line)]
    last = said[-lines:]
    told = last if not causes or causes[0] in last else [causes[0], *said[-1:]]
    return " | ".join(part[:MAX_LOG_CHARACTERS] for part in told)[:MAX_LOG_CHARACTERS]


def last_words_of(path: Path) -> str:
    """The same for a log in a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_END_BYTES))
        return last_words(file.read().decode("utf-8", "replace"))


def diagnose(deployment: Object, pods: Sequence[Object], events_of: Callable[[str], Sequence[Object]]) -> Diagnosis:
    """Say why a Deployment is not up yet.

    Args:
        deployment: The Deployment.
        pods: Its pods, including those that are ending.
        events_of: Gives a pod's events, oldest first, by its name; asked only where they are needed.

    Returns:
        The diagnosis of its newest pod, or why there is none.
    """
    current = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if not current:
        return _diagnose_without_pods(deployment, leaving=bool(pods))
    pod = max(current, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    queue = deployment["metadata"].get("labels", {}).get(QUEUE_LABEL, "")
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason"):  # evicted, node lost: the Deployment makes another
        return Diagnosis(_line(f"{status['reason']}: {status.get('message', '')}"), FOR_A_WHILE)
    return _unscheduled(status, queue) or _container(pod, events_of)


def is_scheduled(pods: Sequence[Object]) -> bool:
    """Whether one of the pods has a node."""
    return any(_condition(pod.get("status", {}), "PodScheduled").get("status") == "True" for pod in pods)


def is_up(deployment: Object) -> bool:
    """Whether a Deployment has all its pods, of its newest version, and all of them answer."""
    wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
    return (
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def _diagnose_without_pods(deployment: Object, *, leaving: bool) -> Diagnosis:
    failure = _condition(deployment.get("status", {}), "ReplicaFailure")
    if failure.get("status") == "True":
        message = failure.get("message", "")
        # Quota is freed when others finish; a refusal by policy stays.
        return Diagnosis(_line(f"no pod may be made: {message}"), FOREVER if "quota" in message else FOR_A_WHILE)
    return Diagnosis("the pod before it is ending" if leaving else "its pod is being made", FOREVER)


def _unscheduled(status: Object, queue: str) -> Diagnosis | None:
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "True":
        return None
    if scheduled.get("reason") == "SchedulingGated" and queue:
        return Diagnosis(f"waits for quota in queue {queue}", FOREVER)
    if scheduled:
        return Diagnosis(_line(f"{scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', '')}"), FOREVER)
    return Diagnosis("waits for the scheduler", FOREVER)


def _container(pod: Object, events_of: Callable[[str], Sequence[Object]]) -> Diagnosis:
    name, container = pod["metadata"]["name"], _decisive(pod["status"])
    state, restarts, which = container.get("state", {}), container.get("restartCount", 0), container.get("name", "")
    waiting = state.get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in UNPULLABLE | PULLING:
        return Diagnosis(_image(container, waiting, events_of(name)), NOT_AT_ALL if reason in UNPULLABLE else FOR_A_WHILE)
    if reason in UNCREATABLE:
        return Diagnosis(_line(f"{reason}: {waiting.get('message', '')}"), FOR_A_WHILE)
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    if "running" in state:
        before = f", after {_ended(which, ended, restarts, events_of(name))}" if ended else ""
        return Diagnosis(
            _line(f"{which} runs, not ready yet{_warning(events_of(name), 'Unhealthy')}{before}"), FOREVER, name, which
        )
    if ended:
        text = _ended(which, ended, restarts, events_of(name))
        hope = NOT_AT_ALL if restarts >= CRASHES or _is_told_wrong(pod["status"], container, ended) else FOREVER
        return Diagnosis(text, hope, name, which, previous="terminated" not in state)
    return Diagnosis(_line(f"its container is being made{_warning(events_of(name))}"), FOREVER)


def _decisive(status: Object) -> Object:
    """The container that the pod waits for: the first one before the server that has not done its work, else the least far."""
    before = [container for container in status.get("initContainerStatuses", []) if not container.get("ready")]
    containers: list[Object] = before[:1] or sorted(status.get("containerStatuses", []), key=_progress)
    return containers[0] if containers else {}


def _progress(container: Object) -> int:
    """How far a container is. The gateway beside a server that keeps ending runs, and only waits for it."""
    if container.get("ready"):
        return 3
    if "running" not in container.get("state", {}):
        return 0
    return 1 if container.get("restartCount") else 2


def _is_told_wrong(status: Object, container: Object, ended: Object) -> bool:
    """Whether a container before the server says that its input is wrong, such as weights that are not where they should be."""
    return container in status.get("initContainerStatuses", []) and ended.get("exitCode") == BAD_INPUT


def _image(container: Object, waiting: Object, events: Sequence[Object]) -> str:
    """The kubelet tells the cause only at its first try; later its status only says that it backs off."""
    causes = [str(event.get("message", "")) for event in events if event.get("reason") == "Failed"]
    cause = next((message for message in reversed(causes) if "pull" in message and "Back-off" not in message), "")
    image = container.get("image", "")
    return _line(f"{waiting['reason']}: image {image} cannot be had: {cause or waiting.get('message', '')}")


def _ended(which: str, ended: Object, restarts: int, events: Sequence[Object]) -> str:
    code, reason = ended.get("exitCode"), ended.get("reason", "")
    if reason == "OOMKilled":
        told = (
            f"OOMKilled (exit code {code}): {which} needs more memory than its limit; raise cluster.server_memory in the profile"
        )
    else:
        told = f"{which} ended with exit code {code}" + (f" ({reason})" if reason not in ("", "Error", "Completed") else "")
        told += _killed_by_probe(events)
    return _line(f"{told}, {restarts} restarts" if restarts else told)


def _killed_by_probe(events: Sequence[Object]) -> str:
    killed = [event for event in events if event.get("reason") == "Killing" and "probe" in event.get("message", "")]
    return f": {killed[-1]['message']}{_warning(events, 'Unhealthy')}" if killed else ""


def _warning(events: Sequence[Object], reason: str = "") -> str:
    """The last warning of a kind, or the last one since the pod has a node."""
    wanted = [event for event in events if event.get("type") == "Warning" and event.get("reason") != "FailedScheduling"]
    told = [str(event.get("message", "")) for event in wanted if reason in ("", event.get("reason"))]
    return f": {told[-1]}" if told else ""


def _condition(status: Object, kind: str) -> Object:
    return next((condition for condition in status.get("conditions", []) if condition["type"] == kind), {})


def _line(text: str) -> str:
    line = " ".join(text.split()).removesuffix(":").rstrip()
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 3] + "..."
