"""`python -m pipelines submit` as a process of its own: exit codes, signals, a server that is killed, no secret shown."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from .conftest import NOISE
from .kfp_api_double import Fault, KfpApiDouble
from .kfp_backend import KfpBackend

ROOT = Path(__file__).parents[4]
TOKEN = "planted-token-4711"
SECRET = "planted-secret-0815"


def start(package: Path, url: str, *more: str, **variables: str) -> subprocess.Popen[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(NOISE) and not name.endswith("_proxy")}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", "submit", str(package), "--set", "model=/models/m", "--poll", "0.05s", *more],
        env=mine | {"KF_PIPELINES_ENDPOINT": url, "KFP_TOKEN": TOKEN, "HF_TOKEN": SECRET, "PYTHONUNBUFFERED": "1"} | variables,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # who runs the tests may ignore it
    )


@pytest.mark.parametrize(
    ("backend", "faults", "code"),
    [
        (KfpBackend("SUCCEEDED"), [], 0),
        (KfpBackend("FAILED", error=f"{TOKEN} {SECRET}"), [], 1),
        (KfpBackend("REJECTED"), [], 1),
        (KfpBackend("CANCELED"), [], 1),
        (KfpBackend(), [Fault("POST /runs", 400, message=f"{TOKEN} {SECRET}")], 2),
        (KfpBackend(), [Fault("POST /runs", "html")], 2),
        (KfpBackend("RUNNING"), [Fault("GET /runs/", 503, message=f"{TOKEN} {SECRET}")], 3),
        (KfpBackend("RUNNING"), [], 3),
    ],
    ids=["succeeded", "failed", "rejected", "canceled", "refused", "login page", "gone", "endless"],
)
def test_the_exit_code_says_what_became_of_the_run_and_no_secret_is_shown(package, tmp_path, backend, faults, code):
    summary = tmp_path / "summary.md"
    with KfpApiDouble(backend, faults=faults) as server:
        process = start(package, server.url, "--wait", "--timeout", "3s", "--patience", "1s", "--summary", str(summary))
        out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert {request.headers["authorization"] for request in server.backend.received} == {f"Bearer {TOKEN}"}
    for text in (out, err, summary.read_text()):
        assert TOKEN not in text
        assert SECRET not in text
        assert "Traceback" not in text
    assert (err.count("\n") == 1 and err.startswith("error: ")) if code in (2, 3) else err == ""


def test_a_command_line_that_makes_no_sense_ends_with_2(package):
    for more in (("--wiat",), ("--set", "model"), ("--profile",)):
        process = start(package, "http://127.0.0.1:9", *more)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "Traceback" not in err


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_stop(package):
    with KfpApiDouble(KfpBackend("FAILED", error="Über den Wolken …")) as server:
        process = start(package, server.url, "--wait", "--name", "Größe", PYTHONIOENCODING="ascii")
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (1, "")
    assert "why         \\xdcber den Wolken" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("cancel", [False, True])
def test_whoever_interrupts_the_waiting_is_told_what_becomes_of_the_run(package, tmp_path, number, cancel):
    summary = tmp_path / "summary.md"
    with KfpApiDouble(KfpBackend("RUNNING")) as server:
        more = ["--cancel-on-interrupt"] if cancel else []
        process = start(package, server.url, "--wait", "--summary", str(summary), *more)
        wait_for(lambda: len(server.received("GET /runs/")) > 2, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err == ""
    page = f"{server.url}/#/runs/details/0000-1"
    assert bool(server.received("POST /runs/0000-1:terminate")) is cancel
    if cancel:
        assert "the run is being ended" in out
        assert "canceled, because waiting was interrupted" in summary.read_text()
    else:
        assert f"the run goes on: {page}" in out
        assert page in summary.read_text()


def test_an_interruption_before_the_run_is_known_says_where_it_would_be(package):
    with KfpApiDouble(faults=[Fault("POST /runs", "hang")]) as server:
        process = start(package, server.url, "--name", "try-1")
        wait_for(lambda: server.received("POST /runs"), process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"if the run started, it is try-1 in experiment globe: {server.url}" in out


def test_an_interruption_before_the_run_is_known_ends_it_if_asked(package):
    with KfpApiDouble(faults=[Fault("POST /runs", "hang", times=1)]) as server:
        process = start(package, server.url, "--cancel-on-interrupt")
        wait_for(lambda: server.backend.runs, process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 130
    assert server.received("POST /runs/0000-1:terminate")


def test_a_server_that_is_killed_and_started_again_is_waited_for(package, tmp_path):
    state, url = tmp_path / "state", ""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with server_process(port, state):
        process = start(package, url, "--wait", "--poll", "0.5s", "--patience", "120s")
        lines = [process.stdout.readline() for _ in range(4)]  # package, run, page, first stage: then the server dies
    time.sleep(2)
    with server_process(port, state):
        out, err = process.communicate(timeout=120)
        runs = httpx.get(f"{url}/apis/v2beta1/runs", trust_env=False).json()["runs"]
    assert process.returncode == 0, err
    assert lines[1].startswith("run")
    assert "asking again for up to 120 s" in out
    assert "answers again" in out
    assert "end         succeeded" in out
    assert [run["run_id"] for run in runs] == ["0000-1"]


@contextmanager
def server_process(port: int, state: Path) -> Iterator[None]:
    """The double as a process, until it is killed."""
    module = "tests.unit.pipelines.remote.kfp_api_double"
    process = subprocess.Popen([sys.executable, "-m", module, "--port", str(port), "--state", str(state)], cwd=ROOT)
    try:
        wait_for(lambda: listens(port), process)
        yield
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what, process: subprocess.Popen) -> None:
    while not what():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
