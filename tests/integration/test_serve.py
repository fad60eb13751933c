"""`globe serve` with the real vLLM: what it says, who may ask what, what a crash costs, and what is left in the end."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from globe.demo.draw import draw_scene, to_png
from globe.demo.places import all_cities
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY
from globe.run.processes import has_ended, tie_to_parent
from globe.serving.by_hand import PREFIX
from globe.serving.ports import claim_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
GLOBE = [sys.executable, "-m", "globe.cli"]
START_S, ENGINE_S = 900, 600
PICTURE = base64.b64encode(to_png(draw_scene(all_cities()[3], seed=1))).decode()
QUESTION = {
    "model": "globe",
    "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image;base64,{PICTURE}"}}]},
    ],
    "max_tokens": 4,
}


def lowered(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def asked(url: str, body: dict | None = None) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer; 0 if nobody is there."""
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, lowered(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, lowered(error.headers), error.read().decode()
    except OSError:
        return 0, {}, ""


def until(true, seconds: float):
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


class Served:
    """`globe serve` in a folder for temporary files of its own, with a short path, since sockets lie in it."""

    def __init__(self, model: Path, temporary: str, *options: str) -> None:
        self.temporary, (self.port, self.lock) = Path(temporary), claim_port()
        self.lock.close()
        self.errors = self.temporary / "stderr"
        with self.errors.open("w") as file:
            self.process = subprocess.Popen(
                [*GLOBE, "serve", str(model), "--recipe", "demo", "--port", str(self.port), *options],
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=os.environ | {"TMPDIR": temporary},
                start_new_session=True,
                preexec_fn=tie_to_parent,  # also where a test is killed, or fails before it can end what it started
            )

    @property
    def said(self) -> str:
        return self.errors.read_text()

    def all_processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def folders(self) -> list[Path]:
        return list(self.temporary.glob(f"{PREFIX}*"))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A checkpoint as a stage publishes it: whose weights nobody has to look at again, which takes as long as vLLM's import."""
    return Path(base_model(model=TINY, seed=0, store=tmp_path_factory.mktemp("store")).outcome.outputs["checkpoint"])


@pytest.fixture(scope="module")
def running(model):
    with tempfile.TemporaryDirectory(prefix="t") as temporary:
        served = Served(model, temporary)
        assert served.process.stdout
        served.lines = [served.process.stdout.readline() for _ in range(3)]
        assert all(served.lines), served.said
        yield served
        with contextlib.suppress(ProcessLookupError):
            served.process.kill()
        served.process.wait()


def test_it_says_how_far_it_is_and_then_where_it_is(running):
    root = f"http://127.0.0.1:{running.port}"
    assert running.lines == [f"API     {root}/v1\n", f"page    {root}/\n", f"locate  globe locate PHOTO --url {root}/v1\n"]
    phases = re.findall(r"^globe: ([a-z][\w ]+?) \(\d+ s\)$", running.said, re.MULTILINE)
    assert phases[0] == "importing vLLM"
    assert "warming up" in phases or "waiting for its first answer" in phases
    assert re.search(r"^globe: ready after \d+ s$", running.said, re.MULTILINE)


def test_a_picture_is_answered_and_the_page_is_there(running):
    status, _, text = asked(f"http://127.0.0.1:{running.port}/v1/chat/completions", QUESTION)
    assert (status, json.loads(text)["choices"][0]["finish_reason"]) == (200, "length")
    assert asked(f"http://127.0.0.1:{running.port}/metrics")[0] == 404


def test_vllm_itself_answers_nobody_else(running):
    for process in running.all_processes():
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1"
    (command,) = [one.cmdline() for one in running.all_processes() if "globe.serving.engine" in one.cmdline()]
    engine = command[command.index("--port") + 1]
    assert asked(f"http://127.0.0.1:{engine}/v1/chat/completions", QUESTION)[0] == 401
    assert asked(f"http://127.0.0.1:{engine}/v1/models")[0] == 401


def test_a_second_one_at_the_same_port_is_refused_with_the_owner(running, model):
    again = subprocess.run(
        [*GLOBE, "serve", str(model), "--recipe", "demo", "--port", str(running.port)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert again.returncode == 2
    assert re.search(rf"--port {running.port}: is taken by process \d+ \(", again.stderr.splitlines()[-1])


@pytest.mark.long
def test_a_killed_engine_is_503_at_once_and_comes_back_by_itself(running):
    url = f"http://127.0.0.1:{running.port}/v1/chat/completions"
    engine = next(process for process in running.all_processes() if "EngineCore" in " ".join(process.cmdline()))
    engine.kill()
    killed = time.monotonic()
    seen = [asked(url, QUESTION)]
    while seen[-1][0] == 200 and time.monotonic() - killed < 30:
        seen.append(asked(url, QUESTION))
    assert time.monotonic() - killed < 30  # long before it is back
    assert (seen[-1][0], int(seen[-1][1]["retry-after"]) >= 1) == (503, True)
    codes = set()

    def back() -> bool:
        codes.add(code := asked(url, QUESTION)[0])
        return code == 200

    assert until(back, ENGINE_S)
    assert codes == {200, 503}
    assert until(lambda: "answering again" in running.said, 120)
    assert "nobody asked it to" in running.said or "vLLM ended with exit code 1" in running.said


def test_kill_9_of_the_command_leaves_no_process(running):
    processes = running.all_processes()
    assert len(processes) > 3
    running.process.kill()
    assert until(lambda: all(map(has_ended, processes)), 180), [process for process in processes if not has_ended(process)]


@pytest.mark.long
def test_a_signal_while_it_starts_leaves_nothing(model):
    """Other signals, and later ones, are tried with a small engine: tests/unit/serving/test_front.py."""
    with tempfile.TemporaryDirectory(prefix="t") as temporary:
        served = Served(model, temporary)
        assert until(lambda: "importing vLLM" in served.said, 300)
        processes = served.all_processes()
        assert processes
        served.process.send_signal(signal.SIGTERM)
        served.process.communicate(timeout=300)
        assert (served.process.returncode, served.folders()) == (130, [])
        assert all(map(has_ended, processes))


@pytest.mark.long
def test_a_start_that_fails_names_a_log_that_is_there_and_says_why(model):
    with tempfile.TemporaryDirectory(prefix="t") as temporary:
        served = Served(model, temporary, "--set", "max_model_len=100000")
        served.process.communicate(timeout=START_S)
        assert served.process.returncode == 1
        last = served.said.splitlines()[-1]
        (log,) = re.findall(r"\(log: (\S+)\)$", last)
        assert "max_model_len" in last
        assert "max_model_len" in Path(log).read_text()
