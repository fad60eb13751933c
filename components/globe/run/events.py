"""What a running stage reports: events for a live view, plain lines for a log.

A stage emits events while it works. Each is printed as one plain line (the log of a pod or a task) and, where the
environment names a file in ``GLOBE_EVENTS``, appended there as one JSON object a line: that is how `python -m pipelines run`
draws its live view. Appends of one short line are atomic, so stages that run side by side need no lock.
"""

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from globe.console import one_line
from globe.errors import GlobeError, fault_of
from globe.files import json_line

Kind = Literal["start", "progress", "done", "reused", "skipped", "failed", "note"]

EVENTS_VARIABLE = "GLOBE_EVENTS"
LOGS_VARIABLE = "GLOBE_LOGS"
PROGRESS_INTERVAL_S = 0.5


def emit(stage: str, kind: Kind, **fields: Any) -> None:
    """Report one event of a stage.

    Args:
        stage: Name of the stage, as in the table the user sees.
        kind: What happened.
        **fields: `done`, `total` (counts), `figure` (one short text), `seconds`, `output` (path), `error`, `fault` (see
            `globe.errors`), `log` (path), `verdict` (the gate's, if it rejected the policy).
    """
    event = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": stage, "kind": kind}
    event |= {name: value for name, value in fields.items() if value is not None}
    path = os.environ.get(EVENTS_VARIABLE)
    if path:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:  # a full disk: the work matters more than a line
            file.write(json_line(event))
    if sys.stderr is not None:  # if it is closed, print would use stdout, which may hold a result
        with suppress(OSError, ValueError):  # likewise
            print(_plain(event), file=sys.stderr, flush=True)


def _plain(event: dict[str, Any]) -> str:
    count = f" {event['done']}/{event['total']}" if "done" in event and "total" in event else ""
    tail = one_line(" ".join(str(event[name]) for name in ("figure", "error", "output") if name in event))
    return f"[{event['stage']}] {event['kind']}{count}{' ' if tail else ''}{tail}"


def skip(stage: str, reason: str) -> None:
    """Report that a stage has nothing to do in this run."""
    emit(stage, "skipped", figure=reason)


def fail(stage: str, error: BaseException, **fields: Any) -> None:
    """Report that a stage failed, if the disk is not too full for that.

    Args:
        stage: Name of the stage.
        error: Why. Our own errors are complete sentences; others are shown with their type.
        **fields: As in `emit`.
    """
    text = str(error) if isinstance(error, GlobeError) else f"{type(error).__name__}: {error}"
    with suppress(OSError):
        emit(stage, "failed", error=text, fault=fault_of(error), **fields)


class Reporter:
    """Reports the progress of one stage, seldom enough not to flood the log."""

    def __init__(self, stage: str, log: Path) -> None:
        self.stage = stage
        self.log = log
        self._last = 0.0

    def progress(self, done: int, total: int | None, figure: str = "") -> None:
        """Report that `done` of `total` units (None if unknown) are finished; `figure` is what is worth seeing now."""
        now = time.monotonic()
        if done != total and now - self._last < PROGRESS_INTERVAL_S:
            return
        self._last = now
        emit(self.stage, "progress", done=done, total=total, figure=figure or None)

    def note(self, text: str) -> None:
        """Report what the stage is doing, if there is nothing to count."""
        emit(self.stage, "note", figure=text)


def log_path(stage: str, default_folder: Path) -> Path:
    """Where a stage's own log goes: the run's log folder if there is one, else beside the stage's results."""
    folder = Path(os.environ.get(LOGS_VARIABLE) or default_folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{stage}.log"
