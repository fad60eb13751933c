"""Local servers: ports that nobody else takes, processes that really end. Real child processes throughout."""

import json
import subprocess
import sys
from dataclasses import asdict

import psutil
import pytest

from globe.errors import GlobeError
from globe.serving.process import Server, require_alive, stop_servers

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def spawn(code: str) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    return process


def record(process: subprocess.Popen, folder, name="m", created=None):
    started = psutil.Process(process.pid).create_time() if created is None else created
    server = Server(name, "http://127.0.0.1:9/v1", process.pid, started, str(folder / "log"))
    (folder / f"{name}.json").write_text(json.dumps(asdict(server)))
    return server


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("globe.run.processes.PATIENCE_S", 1.0)


def test_servers_are_ended_by_their_records_which_then_go(tmp_path):
    process = spawn(STUBBORN)
    record(process, tmp_path)
    assert stop_servers(tmp_path) == ["m"]
    assert process.wait(timeout=5) != 0
    assert not list(tmp_path.glob("*.json"))


def test_only_the_named_server_is_ended(tmp_path):
    processes = {name: spawn(STUBBORN) for name in ("a", "b")}
    for name, process in processes.items():
        record(process, tmp_path, name)
    assert stop_servers(tmp_path, only="a") == ["a"]
    assert processes["b"].poll() is None
    stop_servers(tmp_path)


def test_a_later_process_with_the_same_number_is_left_alone(tmp_path):
    process = spawn(STUBBORN)
    record(process, tmp_path, created=1.0)
    assert stop_servers(tmp_path) == []
    assert process.poll() is None
    process.kill()


def test_a_server_that_has_ended_is_told_with_its_last_lines_and_its_log(tmp_path):
    process = spawn(STUBBORN)
    record(process, tmp_path)
    require_alive(tmp_path, "m")
    process.kill()
    process.wait()
    (tmp_path / "log").write_text("INFO fine\nValueError: no such model\n")
    with pytest.raises(GlobeError, match=r"ValueError: no such model.*log: .*log"):
        require_alive(tmp_path, "m")
