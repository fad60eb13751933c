"""Where a model is served on this machine, what its gateway is told, and how all of it ends; with a small engine for vLLM."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import small_engine
from cli_inputs import checkpoint
from model_folders import model, publish

from globe.errors import InputError
from globe.gateway.settings import read_settings
from globe.run.processes import has_ended
from globe.serving.by_hand import PREFIX
from globe.serving.front import Front, is_loopback, own_settings, require_free


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GLOBE_")]:
        monkeypatch.delenv(name)


def test_a_port_that_is_taken_is_refused_with_its_owner():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"^--port {port}: is taken by process {os.getpid()} \(.*\); give another one, or 0"
        ):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)
    require_free("127.0.0.1", 0)


@pytest.mark.parametrize(("host", "said"), [("nowhere.invalid", "there is no such host"), ("203.0.113.7", "cannot listen there")])
def test_an_address_that_is_not_this_machines_is_refused(host, said):
    with pytest.raises(InputError, match=f"^--host {host}: .*{said}"):
        require_free(host, 0)


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        *[(host, True) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost")],
        *[(host, False) for host in ("0.0.0.0", "::", "10.1.2.3", "example.org", "")],
    ],
)
def test_only_addresses_of_this_machine_alone_need_no_keys(host, alone):
    assert is_loopback(host) is alone


def test_without_keys_the_one_client_is_not_limited_and_with_keys_each_is():
    alone = read_settings(None, own_settings(Front(), "globe"))
    keyed = read_settings(None, own_settings(Front(keys_file="keys.yaml"), "globe"))
    assert alone.tokens_per_minute > 1000 * keyed.tokens_per_minute
    assert alone.pixels_per_minute > 1000 * keyed.pixels_per_minute
    assert (alone.keys_file, str(keyed.keys_file)) == (None, "keys.yaml")


def test_what_the_command_says_comes_before_the_environment_which_comes_before_what_is_usual_here(monkeypatch):
    monkeypatch.setenv("GLOBE_GATEWAY_MODEL", "another")
    monkeypatch.setenv("GLOBE_GATEWAY_TOKENS_PER_MINUTE", "77")
    monkeypatch.setenv("GLOBE_GATEWAY_MAX_BODY_BYTES", "1000")
    monkeypatch.setenv("GLOBE_GATEWAY_PEERS", "elsewhere:8080")
    told = read_settings(None, own_settings(Front(max_precision="region", page=False), "mine"))
    assert (told.model, told.tokens_per_minute, told.max_body_bytes, told.peers) == ("mine", 77, 1000, "")
    assert (told.max_precision, told.page, told.show_checkpoint, told.drain_s) == ("region", False, True, 0)


def test_a_gateway_that_others_reach_does_not_tell_them_where_the_checkpoint_lies():
    assert not read_settings(None, own_settings(Front("0.0.0.0", keys_file="k"), "globe")).show_checkpoint


@pytest.mark.parametrize(("setting", "value"), [("MAX_PRECISION", "street"), ("COLOUR", "red"), ("ATTEMPTS", "-1")])
def test_a_setting_that_cannot_be_one_is_refused_before_anything_starts(monkeypatch, setting, value):
    monkeypatch.setenv(f"GLOBE_GATEWAY_{setting}", value)
    with pytest.raises(InputError, match=f"GLOBE_GATEWAY_{setting}: "):
        read_settings(None, own_settings(Front(), "globe"))


WAIT_S = 60.0
QUESTION = {"model": "globe", "messages": [{"role": "user", "content": "Where?"}], "max_tokens": 8}


def until(true):
    deadline = time.monotonic() + WAIT_S
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def lowered(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def asked(url: str, key: str = "") -> tuple[int, dict[str, str]]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(QUESTION).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return answer.status, lowered(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, lowered(error.headers)


class Serve:
    """`globe serve` in a temporary folder of its own."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.temporary = folder / "t"
        self.temporary.mkdir(exist_ok=True)
        self.errors = folder / "stderr"
        with self.errors.open("w") as file:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    small_engine.__file__,
                    str(folder / "m" if (folder / "m").exists() else checkpoint(folder / "m")),
                    "--recipe",
                    "demo",
                    "--port",
                    "0",
                    *options,
                ],
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
                env=os.environ
                | {"TMPDIR": str(self.temporary), "PYTHONPATH": os.pathsep.join([*filter(None, sys.path)])}
                | environment,
            )
        assert self.process.stdout
        self.told = [self.process.stdout.readline() for _ in range(2)]
        assert self.told[0].startswith("API     http://127.0.0.1:"), self.errors.read_text()
        self.url = self.told[0].split()[1]

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def engine(self) -> psutil.Process:
        (engine,) = [
            one for one in self.processes() if "--engine" in one.cmdline() and "globe.serving.engine" not in one.cmdline()
        ]
        return engine

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=WAIT_S)
        return self.process.returncode


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(*options: str, **environment: str) -> Serve:
        started.append(Serve(tmp_path, *options, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()


def test_it_is_ready_once_an_answer_has_been_proven_and_a_crash_is_503_until_the_engine_is_back(serve):
    one = serve()
    assert one.told[1] == f"page    {one.url.removesuffix('v1')}\n"
    assert asked(one.url)[0] == 200
    one.engine().kill()
    assert until(lambda: asked(one.url)[0] != 200)
    status, headers = asked(one.url)
    assert status == 200 or (status == 503 and int(headers["retry-after"]) >= 1)
    assert until(lambda: asked(one.url)[0] == 200)
    assert until(lambda: "answering again, after" in one.errors.read_text())
    assert "vLLM ended with exit code 137" in one.errors.read_text()


def test_a_gateway_reads_the_question_of_a_manifest_that_is_not_beside_the_weights(serve, tmp_path):
    (tmp_path / "m").mkdir()
    publish(model(tmp_path / "weights"), manifest_folder=tmp_path / "m")
    (gateway,) = [one for one in serve().processes() if "globe.gateway" in one.cmdline()]
    assert gateway.environ()["GLOBE_GATEWAY_CHECKPOINT"] == str(tmp_path / "m")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_and_leaves_nothing(serve, number):
    one = serve()
    processes = one.processes()
    assert len(processes) == 3  # the gateway, the engine's keeper, the engine
    assert one.end(number) == 130
    assert all(map(has_ended, processes))
    assert list(one.temporary.glob(f"{PREFIX}*")) == []


def test_kill_9_leaves_no_process_and_the_next_one_removes_the_folder(serve, tmp_path):
    one = serve()
    processes = one.processes()
    one.end(signal.SIGKILL)
    assert until(lambda: all(map(has_ended, processes)))
    (left,) = one.temporary.glob(f"{PREFIX}*")
    again = serve()
    assert not left.exists()
    again.end()
    assert list(one.temporary.glob(f"{PREFIX}*")) == []


def test_the_engine_answers_only_the_gateway_and_the_gateway_whoever_has_the_users_key(serve):
    mine = "k" * 32
    one = serve(GLOBE_SERVER_KEY=mine)
    (inner,) = [connection.laddr for connection in one.engine().net_connections("tcp") if connection.status == psutil.CONN_LISTEN]
    assert inner.ip == "127.0.0.1"
    assert [asked(f"http://127.0.0.1:{inner.port}/v1", key)[0] for key in ("", mine)] == [401, 401]
    assert [asked(one.url, key)[0] for key in ("", "wrong", mine)] == [401, 401, 200]
    said = one.errors.read_text() + "".join(path.read_text() for path in one.temporary.glob(f"{PREFIX}*/*.log"))
    assert mine not in said


def test_bare_is_the_engine_alone_with_the_users_key(serve):
    mine = "k" * 32
    one = serve("--bare", GLOBE_SERVER_KEY=mine)
    assert re.match(r"locate  globe locate PHOTO --url ", one.told[1])
    assert [asked(one.url, key)[0] for key in ("", mine)] == [401, 200]
    assert len(one.processes()) == 2
