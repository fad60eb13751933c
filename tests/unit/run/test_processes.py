"""Nothing outlives those that need it: supervised process trees, killed in every way. Real processes throughout."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from globe.run.processes import end_process_tree, end_writers, has_ended

# A worker as pipelines.local.worker is one: it has a child that starts a server in a session of its own and then ends.
SERVER = "import time; time.sleep(600)"
TASK = f"""
import subprocess, sys
quiet = subprocess.DEVNULL
print(subprocess.Popen([sys.executable, '-c', {SERVER!r}], start_new_session=True, stdout=quiet, stderr=quiet).pid)
"""
WORKER = f"""
import os, signal, subprocess, sys, time
from globe.run.processes import adopt_orphans, end_descendants, end_with_parent
signal.signal(signal.SIGTERM, lambda *_: (end_descendants(), os._exit(143)))
adopt_orphans()
end_with_parent()
server = subprocess.run([sys.executable, '-c', {TASK!r}], capture_output=True, text=True).stdout
print(os.getpid(), server.strip(), flush=True)
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys
from globe.run.processes import adopt_orphans, end_descendants
adopt_orphans()
worker = subprocess.Popen([sys.executable, '-c', {WORKER!r}], start_new_session=True)
worker.wait()
end_descendants()
"""


@pytest.fixture
def tree():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    worker, server = (psutil.Process(int(pid)) for pid in parent.stdout.readline().split())
    yield parent, worker, server
    for process in (parent, worker, server):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    parent.wait()


def all_ended(*processes, within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        alive = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        if not alive:
            return True
        time.sleep(0.1)
    return False


def test_a_server_whose_task_has_ended_belongs_to_the_worker(tree):
    _, worker, server = tree
    assert server.ppid() == worker.pid


def test_killing_the_parent_ends_worker_and_server(tree):
    parent, worker, server = tree
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert all_ended(worker, server)


def test_killing_the_worker_ends_the_server_too(tree):
    parent, worker, server = tree
    worker.kill()
    parent.wait(timeout=60)
    assert all_ended(worker, server)


STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
STUBBORN_FAMILY = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"


def test_a_process_that_ignores_sigterm_and_its_children_end_all_the_same(monkeypatch):
    monkeypatch.setattr("globe.run.processes.PATIENCE_S", 1.0)
    parent = subprocess.Popen([sys.executable, "-c", STUBBORN_FAMILY], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "up\n"
    child = psutil.Process(parent.pid).children()[0]
    end_process_tree(parent.pid)
    assert has_ended(child)
    assert parent.wait(timeout=60) != 0


def test_a_zombie_counts_as_ended():
    process = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 10
    while not has_ended(psutil.Process(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    process.wait()


def test_a_signal_that_is_ignored_as_by_nohup_stays_ignored():
    script = (
        "import os, signal\nfrom globe.run.processes import signals_as_interrupts\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with signals_as_interrupts():\n    os.kill(os.getpid(), signal.SIGHUP)\n    print('goes on')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "goes on\n"


def test_who_writes_to_a_log_is_found_without_any_parent_and_who_reads_it_is_left_alone(tmp_path):
    log = tmp_path / "serving.log"
    with log.open("ab") as file:
        writer = subprocess.Popen([sys.executable, "-c", SERVER], stdout=file, stderr=subprocess.DEVNULL, start_new_session=True)
    reader = subprocess.Popen(["tail", "-f", str(log)], stdout=subprocess.DEVNULL)
    try:
        end_writers([log])
        assert (has_ended(psutil.Process(writer.pid)), reader.poll()) == (True, None)
    finally:
        for process in (writer, reader):
            process.kill()
            process.wait()


def test_a_parents_own_handler_does_not_keep_a_child_alive_that_was_just_forked():
    program = f"""
import os, signal, subprocess, sys, time
from globe.run.processes import tie_to_parent
signal.signal(signal.SIGTERM, lambda *_: None)
def orphaned():
    tie_to_parent()
    os.kill(os.getpid(), signal.SIGTERM)  # as the kernel sends it, when the parent ends just now
print(subprocess.Popen([sys.executable, "-c", {SERVER!r}], preexec_fn=orphaned, stdout=subprocess.DEVNULL).wait(10))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (said.stdout.strip(), said.stderr) == (str(-signal.SIGTERM), "")
