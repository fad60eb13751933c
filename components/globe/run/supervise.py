"""`python3 -m globe.run.supervise ... -- COMMAND`: run a stage's command in a pod, and start it again if that may help.

Backends differ in what they start again: some only lost pods, some only failed ones. This does it inside the pod, on every one
of them; `globe.run.endings` has the table of what is tried again. A stage resumes where the attempt before was killed.

- The command has a process group of its own. SIGTERM and SIGINT go to it, and then it is never started again here. A training
  saves first, as far as the time goes, and its exit code is 75: whoever told it to end may start another pod, which goes on from
  there. In a pod of KFP's there is no such time: its launcher ends on SIGTERM, and the container with it; the last save remains.
- When it ends, so does all that it has started: no trainer or server is left to hold memory and GPUs.
- Secrets that are mounted as files become variables of the command, for a backend that cannot have a variable come from a
  secret that may be missing.
- What a failed attempt left where the backend collects outputs is removed.
- At the end, the run's record of the stage is written to the store (`globe.run.records`). That is best effort: a store that
  cannot be written does not fail a finished stage. If the process is told to end, the record is written at once, for a backend's
  launcher does not wait: it ends on SIGTERM, and the container with it.

It cannot help where the kernel ends the whole container, as Kubernetes from 1.28 on has it do for want of memory (unless the
kubelet sets `singleProcessOOMKill`); then the backend decides.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from globe.console import one_line
from globe.keys import FORM_VARIABLE
from globe.redactor import Redactor
from globe.run.endings import CANNOT_START, SIGNALLED, Ending, Reports
from globe.run.events import EVENTS_VARIABLE, emit
from globe.run.executor_input import ExecutorInput, read_executor_input
from globe.run.processes import adopt_orphans, end_descendants, end_with_parent, forgo_privileges
from globe.run.records import StageRecord, State, now_text, write_record
from globe.run.stage import RUN_VARIABLE

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WATCHED = (*FORWARDED, signal.SIGCHLD)
PAUSE_S = 60.0
"""Before the second attempt; each later pause is twice as long as the one before."""
TURN_S = 60.0
"""How often what the stage reports is read."""
LONGEST_TEXT = 500
LONGEST_PAUSE_S = 1800.0
SHELLS = ("sh", "dash", "bash", "ash", "busybox")


@dataclass
class Supervisor:
    """Runs one stage's command to its end.

    Attributes:
        stage: The stage's name.
        command: Its command.
        retries: How often the command may be started again.
        pause_s: How long to wait before the second attempt.
        task: What the backend tells the task.
        gpus: What the pod was promised.
    """

    stage: str
    command: Sequence[str]
    retries: int
    pause_s: float = PAUSE_S
    task: ExecutorInput = field(default_factory=ExecutorInput)
    gpus: int = 0
    attempts: int = field(default=0, init=False)
    told_to_end: int = field(default=0, init=False)
    _started: datetime = field(default_factory=lambda: datetime.now(UTC), init=False)
    _clock: float = field(default_factory=time.monotonic, init=False)

    def run(self) -> int:
        """Run the command, again where that may help.

        Returns:
            The exit code of the last attempt, as a shell tells it.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        adopt_orphans()
        before: Ending | None = None
        while True:
            ending = self._attempt()
            if self.attempts > self.retries or ending.is_final(before):
                break
            pause_s = min(self.pause_s * 2 ** (self.attempts - 1), LONGEST_PAUSE_S)
            self._note(f"attempt {self.attempts} of {self.retries + 1} {_said(ending)}; starting again in {pause_s:g} s")
            self._wait(pause_s)
            if self.told_to_end:
                ending = Ending(SIGNALLED + self.told_to_end, told_to_end=self.told_to_end)
                break
            self.task.remove_outputs()
            before = ending
        if ending.code and self.retries:
            self._note(f"attempt {self.attempts} of {self.retries + 1} {_said(ending)}; not starting again")
        self._record(ending)
        return ending.code

    def _attempt(self) -> Ending:
        """Start the command, with a file for what it reports."""
        self.attempts += 1
        try:
            folder = tempfile.TemporaryDirectory(prefix="globe-events-", ignore_cleanup_errors=True)
        except OSError as error:  # such as a full disk, which an attempt before has filled
            return Ending(1, f"no temporary folder can be made ({error.strerror})", "failure")
        with folder as name:
            return self._watch(Reports(Path(name) / "events.jsonl"))

    def _watch(self, reports: Reports) -> Ending:
        """Start the command, wait for its end, and see to it that nothing is left of it."""
        try:
            process = subprocess.Popen(
                self.command,
                env=os.environ | {EVENTS_VARIABLE: str(reports.path)},
                process_group=0,
                preexec_fn=_in_the_child,
            )
        except OSError as error:
            return Ending(max(CANNOT_START), f"{self.command[0]}: cannot be started ({error.strerror})")
        code = None
        while code is None:
            number = _next_signal(TURN_S)
            if number in FORWARDED:
                self._forward(number, process)
            elif not number:
                reports.turn()
            code = _exit_code(process)
        end_descendants()
        _exit_code(process)
        reports.finish()
        return reports.ending(code, self.told_to_end)

    def _forward(self, number: int, process: subprocess.Popen[bytes]) -> None:
        first, self.told_to_end = not self.told_to_end, number
        _tell(process.pid, number)
        if first:
            self._record(Ending(SIGNALLED + number, told_to_end=number))

    def _wait(self, seconds: float) -> None:
        """Wait, unless this process is told to end."""
        over = time.monotonic() + seconds
        while not self.told_to_end and (left_s := over - time.monotonic()) > 0:
            number = _next_signal(left_s)
            if number in FORWARDED:
                self.told_to_end = number

    def _record(self, ending: Ending) -> None:
        """Write the run's record of this stage, if it is known where."""
        store, run = self.task.text("store"), os.environ.get(RUN_VARIABLE) or self.task.text("run")
        if not store or not run:
            return
        state: State = "rejected" if ending.rejected else "failed" if ending.code else "succeeded"
        hide = Redactor(os.environ).hide
        record = StageRecord(
            run=run,
            stage=self.stage,
            state=state,
            started=now_text(self._started),
            seconds=round(time.monotonic() - self._clock, 1),
            attempts=self.attempts,
            gpus=self.gpus,
            error=_short(hide(ending.reason)) if ending.code else "",
            figure=_short(hide(ending.figure)),
        )
        try:
            write_record(store, record)
        except Exception as error:  # whatever is wrong with the store, the stage's ending stands
            self._note(f"the run's record of this stage cannot be written: {_short(hide(str(error)))}")

    def _note(self, text: str) -> None:
        emit(self.stage, "note", figure=text)


def main(arguments: Sequence[str]) -> int:
    """Run a command as the command line says.

    Args:
        arguments: Options, `--`, and the command.

    Returns:
        The command's exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python3 -m globe.run.supervise", description="Run a stage's command, again if it fails."
    )
    parser.add_argument("--stage", required=True, help="the stage's name")
    parser.add_argument("--retries", type=int, default=0, help="how often it may be started again")
    parser.add_argument("--pause", type=float, default=PAUSE_S, help="seconds before that; doubled each time")
    parser.add_argument("--gpus-input", default="", help="the task's input that says how many GPUs the pod was promised")
    parser.add_argument("--nodes", type=int, default=1, help="on how many nodes there are so many")
    parser.add_argument("--secret", action="append", default=[], help="FOLDER:KEY,KEY: files that become variables")
    split = list(arguments).index("--") if "--" in arguments else len(arguments)
    options, command = parser.parse_args(arguments[:split]), arguments[split + 1 :]
    if not command:
        parser.error("give the command after --")
    os.environ.update(read_secrets(options.secret) | {FORM_VARIABLE: "1"})
    task = read_executor_input(command)
    gpus = options.nodes * task.count(options.gpus_input) if options.gpus_input else 0
    return Supervisor(options.stage, command, options.retries, options.pause, task, gpus).run()


def read_secrets(told: Sequence[str]) -> dict[str, str]:
    """Variables from secrets that are mounted as files. A missing file sets none.

    Args:
        told: FOLDER:KEY,KEY for each secret; a key is the name of its file and of the variable.
    """
    found = {}
    for folder, _, keys in (one.rpartition(":") for one in told):
        for key in keys.split(","):
            with suppress(OSError):
                found[key] = os.fsdecode((Path(folder) / key).read_bytes())
    return found


def _tell(leader: int, number: int) -> None:
    """Send a signal to a process group, but not to a shell that leads it and waits for what it has started.

    KFP starts its executor from such a shell. It would end at once, with the executor still saving.
    """
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(leader)
        started = [child for child in first.children(recursive=True) if _group_of(child.pid) == leader]
        shell = started and first.name() in SHELLS
        for process in started if shell else [first, *started]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _group_of(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def _in_the_child() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    end_with_parent()
    forgo_privileges()


def _next_signal(seconds: float) -> int:
    """Wait for a signal; 0 if none came."""
    found = signal.sigtimedwait(WATCHED, seconds)
    return found.si_signo if found else 0


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of the process, as a shell tells it; None while it runs. What else has ended is forgotten."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            if pid == process.pid:
                process.returncode = os.waitstatus_to_exitcode(status)
    code = process.returncode
    return code if code is None or code >= 0 else SIGNALLED - code


def _said(ending: Ending) -> str:
    return ending.reason if ending.signal or ending.told_to_end or not ending.error else f"failed ({_short(ending.error)})"


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
