"""vLLM and the gateway in front of it, kept running by one command: what crashes is started again, and at the end all is gone."""

import math
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from globe.console import PATIENCE_S, tell
from globe.errors import GlobeError
from globe.run.processes import adopt_orphans, end_descendants, end_process_tree, end_writers, tie_to_parent
from globe.serving.diagnosis import last_words_of

POLL_S = 0.25
CRASHES = 5
"""In a row, after which whatever crashes is given up: it needs its owner."""
STEADY_S = 300.0
"""Whoever has answered for so long has recovered: its earlier crashes no longer count."""
LONGEST_PAUSE_S = 60.0


def pause_s(crashes: int) -> float:
    """How long to wait before another start, after so many crashes in a row: none after the first one."""
    return 0.0 if crashes <= 1 else float(min(2 ** (crashes - 1), LONGEST_PAUSE_S))


@dataclass
class Part:
    """A process of its own session that ends with this one, and is started again when it crashes."""

    title: str
    """For the user, such as vLLM."""
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    end_s: float = 0.0
    """How long it may finish what it has begun once it is told to end; 0 if it has nothing to finish."""
    fds: Sequence[int] = ()
    """Inherited, such as the lock on its port."""
    process: "subprocess.Popen[bytes] | None" = None
    since: int = 0
    """Where in the log its latest start begins, in bytes."""
    answered: float = math.inf
    """Since when its latest start has been a success."""
    crashes: int = 0
    """In a row."""
    due: float = field(default=0.0)
    """When it is started again, once it has ended."""

    def start(self) -> None:
        """Start it, with what it says in its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as file:
            self.since, self.answered = file.tell(), math.inf
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                start_new_session=True,  # Ctrl-C goes to the command, which ends its parts in order
                preexec_fn=tie_to_parent,
                pass_fds=self.fds,
            )

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.process.poll() if self.process else None

    def words(self) -> str:
        """Why it ended, as its log says."""
        code = self.ended()
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        said = last_words_of(self.log)
        return f"{self.title} {how}{f': {said}' if said else ''} (log: {self.log})"

    def end(self, hurry: threading.Event) -> None:
        """Tell it to end, wait for as long as it may take, and end all that is left of it."""
        if not self.process:
            return
        if self.end_s and self.process.poll() is None:
            self.process.terminate()
            deadline = time.monotonic() + self.end_s
            while self.process.poll() is None and time.monotonic() < deadline and not hurry.wait(POLL_S):
                pass
        end_process_tree(self.process.pid)
        self.process.wait()
        end_writers([self.log])  # where it was killed together with its server: an engine that would hold the memory


@dataclass(frozen=True)
class Stop:
    """Set by SIGINT, SIGTERM and SIGHUP; a second signal makes haste."""

    asked: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *_: object) -> None:
        """Handle a signal."""
        (self.hurry if self.asked.is_set() else self.asked).set()


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Let signals that end a command end it in order, wherever it is; `nohup`'s SIGHUP stays ignored."""
    stop = Stop()
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    old = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def supervise(
    parts: Sequence[Part],
    ready: Callable[[], bool],
    stop: Stop,
    *,
    phase: Callable[[], str],
    on_ready: Callable[[], None],
    timeout_s: float,
) -> None:
    """Start parts, wait until they answer, and keep them running until a signal comes; then end them, in the same order.

    Args:
        parts: In the order in which they are started.
        ready: Whether all of it answers.
        stop: Set by signals.
        phase: What is being waited for, in words.
        on_ready: Called when everything answers for the first time.
        timeout_s: How long the first start may take.

    Raises:
        GlobeError: A part ended before it was ever ready, the start took too long, or a part crashed again and again.
    """
    adopt_orphans()  # of a part that is killed
    try:
        for part in parts:
            part.start()
        _await_first(parts, ready, stop, phase, timeout_s)
        if not stop.asked.is_set():
            on_ready()
        _keep(parts, ready, stop)
    finally:
        for part in parts:
            part.end(stop.hurry)
        end_descendants()


def _await_first(
    parts: Sequence[Part], ready: Callable[[], bool], stop: Stop, phase: Callable[[], str], timeout_s: float
) -> None:
    begun = told_at = time.monotonic()
    told = ""
    while not stop.asked.is_set():
        for part in parts:
            if part.ended() is not None:
                raise GlobeError(part.words())
        if ready():
            _all_answer(parts)
            tell(f"ready after {time.monotonic() - begun:.0f} s")
            return
        now = time.monotonic()
        if now - begun > timeout_s:
            raise GlobeError(f"not ready within {timeout_s:.0f} s, still {phase()} (log: {parts[-1].log})")
        what = phase()
        if what != told or now - told_at >= PATIENCE_S:
            tell(f"{what} ({now - begun:.0f} s)")
            told, told_at = what, now
        stop.asked.wait(POLL_S)


def _keep(parts: Sequence[Part], ready: Callable[[], bool], stop: Stop) -> None:
    down: float | None = None
    while not stop.asked.wait(POLL_S):
        for part in parts:
            if part.due:
                if time.monotonic() >= part.due:
                    part.due = 0.0
                    part.start()
            elif part.ended() is not None:
                down = down or time.monotonic()
                _crashed(part, stop)
        if down and not any(part.due for part in parts) and ready():
            _all_answer(parts)
            tell(f"answering again, after {time.monotonic() - down:.0f} s")
            down = None


def _all_answer(parts: Sequence[Part]) -> None:
    now = time.monotonic()
    for part in parts:
        part.answered = min(part.answered, now)


def _crashed(part: Part, stop: Stop) -> None:
    words = part.words()
    part.end(stop.hurry)  # what it has left
    part.crashes = 1 if time.monotonic() - part.answered > STEADY_S else part.crashes + 1
    if part.crashes >= CRASHES:
        raise GlobeError(f"{part.title} has crashed {CRASHES} times in a row and is given up; the last time: {words}")
    pause = pause_s(part.crashes)
    tell(f"{words}; starting it again{f' in {pause:.0f} s' if pause else ''}, crash {part.crashes} of at most {CRASHES - 1}")
    part.due = time.monotonic() + pause
