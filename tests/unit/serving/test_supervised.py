"""Parts that are kept running: started again, given up, ended in order. Real processes that stand for vLLM and its gateway."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
import pytest

from globe.errors import GlobeError
from globe.run.processes import has_ended
from globe.serving import supervised
from globe.serving.supervised import CRASHES, STEADY_S, Part, Stop, pause_s, supervise

WAIT_S = 30.0
SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
COUNTS = "import os, sys\nopen({path!r}, 'a').write(f'{{os.getpid()}}\\n')\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("globe.run.processes.PATIENCE_S", 1.0)
    monkeypatch.setattr(supervised, "POLL_S", 0.02)


def part(folder, title: str, script: str, **more) -> Part:
    """A part that writes its number down whenever it is started."""
    counted = COUNTS.format(path=str(folder / f"{title}.pids")) + script
    return Part(title, [sys.executable, "-c", counted], os.environ, folder / f"{title}.log", **more)


def pids(folder, title: str) -> list[int]:
    path = folder / f"{title}.pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def within(seconds: float, true) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


class Running:
    """A supervisor in a thread of its own, until it is stopped."""

    def __init__(self, parts, ready=lambda: True, *, timeout_s=WAIT_S, phase=lambda: "loading") -> None:
        self.stop, self.up, self.error = Stop(), threading.Event(), None
        given = {"phase": phase, "on_ready": self.up.set, "timeout_s": timeout_s}

        def work() -> None:
            try:
                supervise(parts, ready, self.stop, **given)
            except GlobeError as error:
                self.error = str(error)

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def ends(self) -> str | None:
        self.stop.asked.set()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()
        return self.error


def gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return has_ended(psutil.Process(pid))
    return True


def test_everything_runs_until_a_signal_and_nothing_after_it(tmp_path):
    running = Running([part(tmp_path, "gateway", SLEEPS), part(tmp_path, "vLLM", SLEEPS)])
    assert running.up.wait(WAIT_S)
    assert within(WAIT_S, lambda: pids(tmp_path, "gateway") and pids(tmp_path, "vLLM"))
    assert running.ends() is None
    assert all(gone(pid) for name in ("gateway", "vLLM") for pid in pids(tmp_path, name))


def test_a_killed_part_is_started_again_and_the_other_one_is_left_alone(tmp_path, capsys):
    said: list[str] = []
    running = Running([part(tmp_path, "gateway", SLEEPS), part(tmp_path, "vLLM", SLEEPS)])
    assert running.up.wait(WAIT_S)
    assert within(WAIT_S, lambda: len(pids(tmp_path, "vLLM")) == 1)
    os.kill(pids(tmp_path, "vLLM")[0], signal.SIGKILL)
    assert within(WAIT_S, lambda: len(pids(tmp_path, "vLLM")) == 2)
    assert within(WAIT_S, lambda: "answering again" in (said.append(capsys.readouterr().err) or "".join(said)))
    assert running.ends() is None
    assert "vLLM was killed by SIGKILL" in "".join(said)
    assert len(pids(tmp_path, "gateway")) == 1


def test_what_a_part_and_its_server_leave_that_are_killed_at_once_ends_before_the_next_start(tmp_path):
    engine = "import subprocess, sys\n" + COUNTS.format(path=str(tmp_path / "engine.pids")) + SLEEPS
    server = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {engine!r}])\ntime.sleep(600)\n"
    wrapper = f"subprocess.Popen([sys.executable, '-c', {server!r}])\n"
    running = Running([part(tmp_path, "vLLM", "import subprocess\n" + wrapper + SLEEPS)])
    assert within(WAIT_S, lambda: len(pids(tmp_path, "engine")) == 1)
    (first,) = pids(tmp_path, "engine")
    (wrapper_pid,) = pids(tmp_path, "vLLM")
    for process in (psutil.Process(wrapper_pid), psutil.Process(first).parent()):
        process.kill()
    assert within(WAIT_S, lambda: len(pids(tmp_path, "vLLM")) == 2)
    assert gone(first)
    assert running.ends() is None


def test_a_part_that_ends_before_anything_was_ready_is_an_error_with_its_last_words_and_not_tried_again(tmp_path):
    bad = part(tmp_path, "vLLM", "print('ValueError: no such model', flush=True)\nsys.exit(1)\n")
    running = Running([part(tmp_path, "gateway", SLEEPS), bad], ready=lambda: False)
    running.thread.join(WAIT_S)
    assert running.error == f"vLLM ended with exit code 1: ValueError: no such model (log: {tmp_path}/vLLM.log)"
    assert len(pids(tmp_path, "vLLM")) == 1
    assert all(gone(pid) for pid in pids(tmp_path, "gateway"))


def test_what_crashes_again_and_again_is_given_up_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(supervised, "pause_s", lambda crashes: 0.0)
    running = Running([part(tmp_path, "vLLM", "time = __import__('time'); time.sleep(0.4); sys.exit('out of memory')\n")])
    running.thread.join(WAIT_S)
    assert f"crashed {CRASHES} times in a row and is given up; the last time: vLLM ended with exit code 1" in running.error
    assert "out of memory" in running.error
    assert len(pids(tmp_path, "vLLM")) == CRASHES


@pytest.mark.parametrize(("answered_s", "crashes"), [(STEADY_S + 1, 1), (STEADY_S - 60, 3), (None, 3)])
def test_crashes_after_a_long_good_time_are_counted_anew(tmp_path, monkeypatch, answered_s, crashes):
    one = part(tmp_path, "vLLM", "sys.exit(1)\n", crashes=2)
    one.start()
    one.process.wait()
    if answered_s is not None:
        supervised._all_answer([one])
        now = time.monotonic()
        monkeypatch.setattr(supervised.time, "monotonic", lambda: now + answered_s)
    supervised._crashed(one, Stop())
    assert one.crashes == crashes


def test_the_first_crash_is_repaired_at_once_and_each_further_one_later():
    assert [pause_s(crashes) for crashes in range(1, 9)] == [0, 2, 4, 8, 16, 32, 60, 60]


def test_a_start_that_takes_too_long_says_how_far_it_came(tmp_path):
    running = Running([part(tmp_path, "vLLM", SLEEPS)], ready=lambda: False, timeout_s=1.0)
    running.thread.join(WAIT_S)
    assert running.error == f"not ready within 1 s, still loading (log: {tmp_path}/vLLM.log)"


def test_a_phase_is_told_when_it_begins(tmp_path, capsys):
    phases = iter(["importing", "importing", "loading", "warming up"])
    last = ["warming up"]
    running = Running(
        [part(tmp_path, "vLLM", SLEEPS)],
        ready=lambda: not last,
        phase=lambda: next(phases, None) or (last.clear() or "warming up"),
    )
    assert running.up.wait(WAIT_S)
    running.ends()
    told = [line.split(": ")[1].split(" (")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == ["importing", "loading", "warming up", "ready after 0 s"]


FINISHES = (
    "import signal, time\n"
    "def end(*_): time.sleep(0.5); open({path!r}, 'w').write('finished'); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\nopen({up!r}, 'w').close()\nwhile True: time.sleep(1)\n"
)


@pytest.mark.parametrize("hurry", [False, True])
def test_a_part_may_finish_what_it_has_begun_before_the_next_one_is_ended_unless_there_is_haste(tmp_path, hurry):
    done, up = tmp_path / "done", tmp_path / "up"
    gateway = part(tmp_path, "gateway", FINISHES.format(path=str(done), up=str(up)), end_s=0.2 if hurry else WAIT_S)
    running = Running([gateway, part(tmp_path, "vLLM", SLEEPS)])
    assert running.up.wait(WAIT_S)
    assert within(WAIT_S, lambda: up.exists() and pids(tmp_path, "vLLM"))
    if hurry:
        running.stop.hurry.set()
    running.stop.asked.set()
    if not hurry:
        assert within(WAIT_S, done.exists)
    assert running.ends() is None
    assert all(gone(pid) for name in ("gateway", "vLLM") for pid in pids(tmp_path, name))


SUPERVISOR = (
    "import os, sys\nfrom pathlib import Path\nfrom globe.serving.supervised import Part, stopped_by_signals, supervise\n"
    "part = Part('vLLM', [sys.executable, '-c', {script!r}], os.environ, Path({log!r}))\n"
    "with stopped_by_signals() as stop:\n"
    "    supervise([part], lambda: True, stop, phase=str, on_ready=lambda: print(part.process.pid, flush=True), timeout_s=30)\n"
    "print('in order', flush=True)\n"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_the_command_ends_its_parts(tmp_path, number):
    script = SUPERVISOR.format(script=SLEEPS, log=str(tmp_path / "log"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    pid = int(process.stdout.readline())
    process.send_signal(number)
    out, _ = process.communicate(timeout=WAIT_S)
    assert out == ("" if number == signal.SIGKILL else "in order\n")
    assert within(WAIT_S, lambda: gone(pid))
