"""The record of a task in MLflow: curves while a training goes on, parameters and figures once the work is done.

It must never cost more than it gives: requests go out from a thread of its own, a server that is away is asked less and less
often, and at the end it gets a limited time. Nothing is recorded twice: a curve goes on after the last step that the server has,
so a task that was killed and resumed, in the same pod or in another, adds what is missing; and final figures have the timestamp
and step of those that KFP's launcher logs, 0 and 0, since MLflow keeps equal ones once.
"""

import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from globe.errors import GlobeError
from globe.redactor import Redactor, is_secret_name
from globe.run.events import emit
from globe.run.mlflow_client import MAX_METRICS, MAX_OTHERS, KnownRun, Metric, MlflowRun, Refused, run_of
from globe.run.tracking import Record
from globe.web import Unanswered, within

PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
"""Between two requests of a training, and while the server does not answer."""
PATIENCE_S = 60.0
"""How long a task may wait for the server at its end."""
ATTEMPTS, AGAIN_S = 3, 2.0
"""At the end, and the pause between two of them."""
MOST_WAITING = 20_000
"""Points that wait for a server; with more, the rest of the curve comes at the end."""
LONGEST_VALUE, LONGEST_TAG = 6000, 8000
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)
_NOT_LIVE = re.compile(r"learning_rate|.*\(.*")
"""What ms-swift rounds away in the lines that it writes meanwhile, or adds to them alone; a curve's end holds it exactly."""
T = TypeVar("T")
_LEFT_OUT = ("environment",)
"""Fields of a recipe that may hold anything, such as keys."""


def record_of(stage: str, environment: Mapping[str, str]) -> Record:
    """The record of a task in the run that an environment names; one that does nothing if that is no server's.

    Args:
        stage: Name of the stage.
        environment: Environment variables.
    """
    run = run_of(environment)
    return MlflowRecord(run, stage, environment) if run else Record()


class MlflowRecord(Record):
    """The same in a run of MLflow. No method waits longer than it says, and none raises."""

    def __init__(self, run: MlflowRun, stage: str, environment: Mapping[str, str]) -> None:
        self._run, self._stage, self._hide = run, stage, Redactor(environment)
        self._known: KnownRun | None = None
        self._last: dict[str, int] = {}
        self._waiting: list[Metric] = []
        self._lock, self._sending, self._over = threading.Lock(), threading.Lock(), threading.Event()
        self._live = True
        self._away = False
        self._told: set[str] = set()
        threading.Thread(target=self._keep_sending, daemon=True).start()

    def step(self, step: int, steps: int, values: Mapping[str, Any]) -> None:
        """See `Record`."""
        points = self._points(step, {name: value for name, value in values.items() if not _NOT_LIVE.fullmatch(name)})
        with self._lock:
            self._waiting += points if self._live else []
            self._live = self._live and len(self._waiting) <= MOST_WAITING

    def finish(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        figures: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        curve: Sequence[Mapping[str, Any]] = (),
        parent_tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `Record`."""
        self._over.set()

        def all_of_it() -> None:
            points = [point for values in curve for point in self._points(int(values["step"]), values)]
            for attempt in range(ATTEMPTS):
                try:
                    return self._finish(points, params or {}, figures or {}, tags or {}, parent_tags or {})
                except Unanswered:
                    if attempt == ATTEMPTS - 1:
                        raise
                    time.sleep(AGAIN_S)

        self._try(lambda: within(PATIENCE_S, all_of_it), "its record of this task is incomplete")

    def close(self) -> None:
        """See `Record`."""
        if not self._over.is_set():
            self._over.set()
            if not self._away:
                self._try(lambda: within(PATIENCE_S / 4, self._send_waiting), "the last steps are missing there")

    def _finish(
        self,
        points: Sequence[Metric],
        params: Mapping[str, Any],
        figures: Mapping[str, Any],
        tags: Mapping[str, str],
        parent_tags: Mapping[str, str],
    ) -> None:
        with self._sending:
            known = self._read_known()
            self._send(points)
            self._send_final(figures)
            self._run.log(tags=self._texts(tags, LONGEST_TAG))
            if parent_tags and known.parent:
                replace(self._run, run=known.parent).log(tags=self._texts(parent_tags, LONGEST_TAG))
            texts = self._texts(flat(params, f"{self._stage}."), LONGEST_VALUE)
            for part in _parts(list(texts.items()), MAX_OTHERS):  # last, for these alone may be refused: they cannot be changed
                self._run.log(params=dict(part))

    def _keep_sending(self) -> None:
        pause_s = PAUSE_S
        while not self._over.wait(pause_s):
            self._away = not self._try(self._send_waiting, "the training goes on without")
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S) if self._away else PAUSE_S

    def _send_waiting(self) -> None:
        with self._sending:
            with self._lock:
                points = list(self._waiting)
            if not points:
                return
            self._read_known()
            self._send(points)
            with self._lock:
                del self._waiting[: len(points)]

    def _read_known(self) -> KnownRun:
        if self._known is None:
            self._known = self._run.known()
            self._last = dict(self._known.last_steps)
        return self._known

    def _send(self, points: Sequence[Metric]) -> None:
        """Send the points that come after what the server has, in their order, so that there is never a gap."""
        new = [point for point in points if point.step > self._last.get(point.key, -1)]
        for part in _parts(new, MAX_METRICS):
            try:
                self._run.log(part)
            except Unanswered:
                self._known = None  # it may have arrived; ask before anything is sent again
                raise
            self._last |= {point.key: point.step for point in part}

    def _send_final(self, figures: Mapping[str, Any]) -> None:
        finite = {name: value for name, value in flat(figures).items() if _is_figure(value)}
        for part in _parts(list(finite.items()), MAX_METRICS):
            self._run.log([Metric(_name(name), float(value), 0, 0) for name, value in part])

    def _points(self, step: int, values: Mapping[str, Any]) -> list[Metric]:
        now = time.time_ns() // 1_000_000
        figures = {name: value for name, value in values.items() if name != "step" and _is_figure(value)}
        return [Metric(_name(f"{self._stage}/{name}"), float(value), now, step) for name, value in figures.items()]

    def _texts(self, values: Mapping[str, Any], limit: int) -> dict[str, str]:
        return {_name(key): self._hide.hide(str(value))[:limit] for key, value in values.items()}

    def _try(self, work: Callable[[], None], otherwise: str) -> bool:
        """Do something that may fail, and say so, once for each consequence. Returns whether it was done."""
        try:
            work()
            return True
        except Exception as error:  # a record is never worth a task
            text = self._hide.hide(str(error) if isinstance(error, GlobeError | Refused) else type(error).__name__)
            if isinstance(error, Refused):
                self._over.set()
            if otherwise not in self._told:
                self._told.add(otherwise)
                emit(self._stage, "note", figure=f"MLflow: {text}; {otherwise}")
            return False


def flat(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; without what may hold a secret."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name in _LEFT_OUT or is_secret_name(str(name)):
            continue
        found |= flat(value, f"{start}{name}.") if isinstance(value, Mapping) else {f"{start}{name}": value}
    return found


def _parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _name(text: str) -> str:
    """A name that MLflow takes."""
    return _NOT_IN_NAMES.sub("_", text)[:250]
