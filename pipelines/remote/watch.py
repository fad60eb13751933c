"""Follow a run on a server until it ends: what its stages are doing, and how it ended."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from globe.errors import GlobeError
from pipelines.remote.client import CANCELED, FAILED, SKIPPED, SUCCEEDED, KfpApi, Run, TaskDetail
from pipelines.remote.connection import NoAnswer, Refused
from pipelines.remote.package import Package, is_reject

NOT_FOUND = 404
_NO_TIME = datetime(1971, 1, 1, tzinfo=UTC)
"""The server writes 1970 for something that has not happened."""


class Ending(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected by the gate"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Stage:
    """A stage of a run.

    Attributes:
        task: The task's name on the server.
        title: What the UI calls it.
        state: waiting, pending, running, succeeded, failed, canceled or skipped.
        seconds: How long it took; None unless it has ended.
        note: Anything else that is known: how many of its parallel parts are done, why it failed.
    """

    task: str
    title: str
    state: str
    seconds: float | None = None
    note: str = ""


def stages(package: Package, run: Run) -> list[Stage]:
    """The stages of a run, in an order they can run in.

    Args:
        package: The pipeline that runs.
        run: Its state.

    Returns:
        One entry per stage, including those that have not started. The server's list also has the pods that prepare a stage
        (NAME-driver), the pod below it (executor), conditions and loops.
    """
    nodes: dict[str, list[TaskDetail]] = {}
    for node in run.tasks:
        nodes.setdefault(node.display_name, []).append(node)
    return [
        _stage(task, title, nodes.get(task, []), nodes.get(f"{task}-driver", []), run.ended)
        for task, title in package.stages.items()
    ]


def ending(package: Package, run: Run) -> Ending:
    """How a run ended, once it has."""
    if run.state == SUCCEEDED:
        return Ending.SUCCEEDED
    if run.state == CANCELED:
        return Ending.CANCELED
    if run.state == SKIPPED:
        return Ending.SKIPPED
    rejected = any(is_reject(stage.task) and stage.state == "failed" for stage in stages(package, run))
    return Ending.REJECTED if rejected else Ending.FAILED


def errors(package: Package, run: Run) -> list[str]:
    """What the server says about a failure: the stages that failed, then its own messages, without repetitions."""
    failed = [stage for stage in stages(package, run) if stage.state == "failed"]
    found = [f"stage {stage.title} failed{': ' + stage.note if stage.note else ''}" for stage in failed]
    messages = [run.error, *(change.error for change in run.state_history)]
    found += [message.message for message in messages if message and message.message]
    return list(dict.fromkeys(found))


def follow(api: KfpApi, run_id: str, *, poll_s: float, patience_s: float, timeout_s: float) -> Iterator[Run]:
    """Check a run again and again until it has ended.

    Args:
        api: The server.
        run_id: The run.
        poll_s: Seconds between two checks.
        patience_s: Seconds for which the server may be silent.
        timeout_s: Seconds to wait for the run's end.

    Yields:
        The run as it is at each check; at the last one it has ended: succeeded, failed or canceled.

    Raises:
        NoAnswer: The server was silent for too long, or the time is up; the run goes on.
        GlobeError: The run has been deleted.
    """
    give_up = time.monotonic() + timeout_s
    while True:
        left_s = max(0.0, give_up - time.monotonic())
        try:
            run = api.run(run_id, patience_s=min(patience_s, left_s))
        except Refused as refused:
            if refused.status == NOT_FOUND:
                raise GlobeError("the run is no longer on the server: it has been deleted") from None
            raise
        yield run
        if run.ended:
            return
        left_s = give_up - time.monotonic()
        if left_s <= 0:
            raise NoAnswer(f"the run did not end within {duration_text(timeout_s)}")
        time.sleep(min(poll_s, left_s))


def duration_text(seconds: float) -> str:
    """Seconds as people say them: 12 s, 3 min 20 s, 5 h 2 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def _stage(task: str, title: str, nodes: Sequence[TaskDetail], drivers: Sequence[TaskDetail], over: bool) -> Stage:
    state = _state(nodes)
    notes = [node.error.message for node in nodes if node.error and node.error.message]
    if state == "waiting" and drivers:
        driver = _state(drivers)
        if driver == "failed":
            state, notes = "failed", ["could not be started (its driver pod failed)"]
        elif driver in ("pending", "running") and not over:
            state = "pending"
    if over and state in ("waiting", "pending", "running"):
        state = "skipped" if state == "waiting" else "canceled"
    if len(nodes) > 1:
        counts = Counter(_state([node]) for node in nodes)
        notes.insert(0, f"{counts['succeeded']} of {len(nodes)} parts")
    seconds = _seconds(nodes) if state in ("succeeded", "failed", "canceled") else None
    return Stage(task, title, state, seconds, "; ".join(dict.fromkeys(notes)))


def _state(nodes: Sequence[TaskDetail]) -> str:
    """The state of a stage, from those of its parts: a failed one decides, then one that is still running."""
    states = {node.state for node in nodes}
    if FAILED in states:
        return "failed"
    if "RUNNING" in states or ("PENDING" in states and SUCCEEDED in states):
        return "running"
    if "PENDING" in states:
        return "pending"
    for state in (CANCELED, "CANCELING", SUCCEEDED, SKIPPED):
        if state in states:
            return "canceled" if state == "CANCELING" else state.lower()
    return "waiting"


def _seconds(nodes: Sequence[TaskDetail]) -> float | None:
    starts = [node.start_time for node in nodes if node.start_time and _aware(node.start_time) > _NO_TIME]
    ends = [node.end_time for node in nodes if node.end_time and _aware(node.end_time) > _NO_TIME]
    return max(0.0, (max(map(_aware, ends)) - min(map(_aware, starts))).total_seconds()) if starts and ends else None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
