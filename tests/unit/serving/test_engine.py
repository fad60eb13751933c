"""A server as the one process of a container: what it is told, how its end is told, and what it leaves. With real processes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from globe.run.processes import has_ended

ENGINE = [sys.executable, "-m", "globe.serving.engine"]
WAIT_S = 30
FOREVER = "import time; print('up', flush=True); time.sleep(600)"
DRAINS = (
    "import signal, sys, time\n"
    "def end(number, frame):\n"
    "    print('asked by', number, flush=True); time.sleep(0.3); print('drained', flush=True); sys.exit({code})\n"
    "signal.signal(signal.SIGTERM, end); signal.signal(signal.SIGINT, end)\n"
    "print('up', flush=True)\n"
    "while True: time.sleep(1)\n"
)
WITH_A_WORKER = (
    "import subprocess, sys, time\n"
    "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    "print(worker.pid, flush=True)\n"
    "{then}"
)


def start(script: str, *, dashes: bool = True) -> subprocess.Popen:
    command = [*ENGINE, *(["--"] if dashes else []), sys.executable, "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ends(process: psutil.Process) -> bool:
    """Whether a process ends within a while; who collects it is another's matter."""
    deadline = time.monotonic() + WAIT_S
    while not has_ended(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return has_ended(process)


@pytest.mark.parametrize(
    ("ending", "code"), [("sys.exit(0)", 1), ("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137), ("raise SystemExit('why')", 1)]
)
def test_a_server_that_ends_by_itself_has_failed_whatever_it_says(ending, code):
    process = start(f"import os, sys; {ending}")
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == code
    assert ("nobody asked it to" in said) == (ending == "sys.exit(0)")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("code", [0, 5])
def test_what_the_container_is_told_the_server_is_told_and_it_may_take_its_time(number, code):
    process = start(DRAINS.format(code=code))
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    said, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, said, errors) == (code, f"asked by {number.value}\ndrained\n", "")


def test_a_server_that_heeds_no_request_to_end_is_told_to_have_been_killed_by_it():
    process = start(FOREVER)
    assert process.stdout
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("then", ["", "time.sleep(600)\n"])
def test_what_a_server_leaves_ends_with_it(then):
    process = start(WITH_A_WORKER.format(then=then))
    assert process.stdout
    worker = int(process.stdout.readline())
    if then:
        (server,) = psutil.Process(process.pid).children()
        server.kill()
    process.communicate(timeout=WAIT_S)
    assert process.returncode == (137 if then else 1)
    with suppress(psutil.NoSuchProcess):
        assert has_ended(psutil.Process(worker))


def test_a_server_does_not_outlive_what_runs_it():
    process = start(FOREVER)
    assert process.stdout
    process.stdout.readline()
    (server,) = psutil.Process(process.pid).children()
    process.kill()
    assert ends(server)


def test_a_request_to_end_while_the_server_starts_is_not_forgotten():
    process = subprocess.Popen([*ENGINE, sys.executable, "-c", FOREVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + WAIT_S
    while signal.SIGTERM not in handled(process.pid) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.terminate()
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 128 + signal.SIGTERM


def handled(pid: int) -> set[int]:
    """Signals for which a process has handlers."""
    with open(f"/proc/{pid}/status") as file:
        (mask,) = [int(line.split()[1], 16) for line in file if line.startswith("SigCgt")]
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_its_own_command_line_is_checked(tmp_path):
    none = subprocess.run([*ENGINE, "--"], capture_output=True, text=True, timeout=WAIT_S)
    assert (none.returncode, none.stderr.count("\n")) == (2, 1)
    missing = subprocess.run([*ENGINE, "--", str(tmp_path / "no-vllm")], capture_output=True, text=True, timeout=WAIT_S)
    assert (missing.returncode, missing.stderr.count("\n")) == (127, 1)
    assert "no-vllm: cannot be run" in missing.stderr


def test_the_dashes_may_be_left_out_and_the_environment_is_the_servers():
    done = subprocess.run(
        [*ENGINE, sys.executable, "-c", "import os, sys; print(os.environ['GLOBE_TEST']); sys.exit(4)"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env=os.environ | {"GLOBE_TEST": "set"},
    )
    assert (done.returncode, done.stdout) == (4, "set\n")
