"""Nothing outlives a run: supervised process trees, killed in every way."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
# A worker as pipelines.worker is one: it has a child that starts a server in a session of its own and then ends.
SERVER = "import time; time.sleep(600)"
TASK = f"""
import subprocess, sys
quiet = subprocess.DEVNULL
print(subprocess.Popen([sys.executable, '-c', {SERVER!r}], start_new_session=True, stdout=quiet, stderr=quiet).pid)
"""
WORKER = f"""
import os, signal, subprocess, sys, time
from pipelines.processes import adopt_orphans, end_descendants, end_with_parent
signal.signal(signal.SIGTERM, lambda *_: (end_descendants(), os._exit(143)))
adopt_orphans()
end_with_parent()
server = subprocess.run([sys.executable, '-c', {TASK!r}], capture_output=True, text=True).stdout
print(os.getpid(), server.strip(), flush=True)
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys
from pipelines.processes import adopt_orphans, end_descendants
adopt_orphans()
worker = subprocess.Popen([sys.executable, '-c', {WORKER!r}], start_new_session=True)
worker.wait()
end_descendants()
"""


@pytest.fixture
def tree():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
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
    parent.wait(timeout=20)
    assert all_ended(worker, server)
