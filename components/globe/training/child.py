"""The trainer's processes: started, watched, told to save and end, and never left behind."""

import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from globe.errors import GlobeError
from globe.run.events import emit
from globe.run.processes import none_left, tie_to_parent
from globe.training.control import VARIABLE, Control
from globe.training.failure import reason
from globe.training.watchdog import Watchdog

POLL_S = 0.5


@dataclass
class Told:
    """How often this process was told to end meanwhile (SIGTERM)."""

    times: int = field(default=0)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stage: str,
    name: str,
    output: Path,
    log: Path,
    lock: int,
    stall_s: float,
    turn: Callable[[], None],
    shared: Path | None = None,
    goes_on: bool = False,
) -> bool:
    """Run a trainer until it ends.

    It has a session of its own, so that a signal to this process's group does not reach it: SIGTERM to this process has it save
    at the end of the running step; a second one ends it at once, and so does one before the first step.

    Args:
        command: The trainer's command line.
        environment: Its environment variables.
        stage: The stage's name, for what is told meanwhile.
        name: What the trainer is called in an error.
        output: Folder that it writes to.
        log: File that receives everything that it prints.
        lock: File descriptor of a lock that its processes inherit, and hold for as long as one of them lives.
        stall_s: Longest time without a finished step.
        turn: Called again and again meanwhile, and once more at the end; raises when the training has lost something it needs.
        shared: Folder by which the trainer's processes on other nodes talk with this one; None where they are all here.
        goes_on: Whether processes of an earlier call still train there.

    Returns:
        Whether it was told to end.

    Raises:
        GlobeError: It failed, or stood still.
    """
    with _talking(shared, goes_on) as folder, _told_to_end() as told, log.open("a") as file:
        control, start = Control(folder, here=shared is None), file.tell()
        watchdog = Watchdog(control, stall_s)
        with none_left():
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**environment, VARIABLE: str(folder)},
                pass_fds=[lock],
                start_new_session=True,
                preexec_fn=tie_to_parent,
            )
            while process.poll() is None and not _is_to_be_ended(told, control, stage):
                turn()
                watchdog.require_progress(log)
                time.sleep(POLL_S)
        process.wait()
        if process.returncode and not told.times:
            turn()  # what the trainer has lost says more than what it said of that
            why = reason(log, start, control, output)
            raise GlobeError(f"{name} ended with code {process.returncode}: {why} (log: {log})")
        turn()
        return bool(told.times)


@contextmanager
def _talking(shared: Path | None, goes_on: bool) -> Iterator[Path]:
    """An empty folder to talk by; the shared one as it is while others still train, but for an earlier call's wish to stop."""
    if shared is None:
        with tempfile.TemporaryDirectory(prefix="globe-training-") as folder:
            yield Path(folder)
        return
    if not goes_on:
        shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(exist_ok=True)
    Control(shared).go_on()
    yield shared


def _is_to_be_ended(told: Told, control: Control, stage: str) -> bool:
    """Whether to end the trainer at once; it is asked to save first, if there is something to save."""
    if not told.times:
        return False
    if not control.is_asked_to_stop():
        control.ask_to_stop()
        emit(stage, "note", figure="told to end: saving at the end of the running step")
    return told.times > 1 or control.last_beat() is None


@contextmanager
def _told_to_end() -> Iterator[Told]:
    """Count SIGTERM, instead of ending on it."""
    told = Told()
    if threading.current_thread() is not threading.main_thread():  # only there can a signal be handled
        yield told
        return

    def count(*_: object) -> None:
        told.times += 1

    old = signal.signal(signal.SIGTERM, count)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, old)
