"""`python -m globe.gateway`: what it says when it cannot start; tests/unit/gateway/test_server.py starts it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_here import until

from globe.gateway.__main__ import main


@pytest.mark.parametrize(("text", "why"), [("prot: 1", "prot: there is no such setting"), ("peers: nobody", "give HOST:PORT")])
def test_settings_that_cannot_be_used_are_one_line_and_exit_code_2(tmp_path, capsys, text, why):
    (tmp_path / "gateway.yaml").write_text(text)
    assert main(["--config", str(tmp_path / "gateway.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line


@pytest.mark.parametrize("name", ["port", "metrics_port"])
def test_so_is_a_port_that_something_else_has(tmp_path, capsys, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "gateway.yaml").write_text(f"port: 0\n{name}: {port}\n".removeprefix("port: 0\n" if name == "port" else ""))
        assert main(["--config", str(tmp_path / "gateway.yaml")]) == 2
    assert str(port) in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells which signals a process handles")
def test_a_containers_first_process_ends_on_sigterm_before_it_serves():
    # Like one, it begins with SIGTERM ignored.
    begin = "import os, signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    environment = os.environ | {"GLOBE_GATEWAY_PORT": "0", "GLOBE_GATEWAY_DRAIN_S": "60"}
    command = [sys.executable, "-c", begin, sys.executable, "-m", "globe.gateway"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        until(lambda: handles(process.pid, signal.SIGTERM), 60)
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()


def handles(pid, number):
    """Whether a process has a handler for a signal."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines["SigCgt"], 16) >> (number - 1) & 1
