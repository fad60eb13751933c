"""Local servers: ports that nobody else takes, processes that really end. Real child processes throughout."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from types import SimpleNamespace

import psutil
import pytest

from globe.errors import GlobeError
from globe.serving.process import Server, require_alive, start_servers, stop_servers
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import OWNERS_ONLY, local_key, make_key

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
    assert process.wait(timeout=60) != 0
    assert not list(tmp_path.glob("*.json"))


def test_only_the_named_server_is_ended(tmp_path):
    processes = {name: spawn(STUBBORN) for name in ("a", "b")}
    for name, process in processes.items():
        record(process, tmp_path, name)
    assert stop_servers(tmp_path, only="a") == ["a"]
    assert processes["b"].poll() is None
    stop_servers(tmp_path)


def test_what_a_killed_server_has_left_ends_with_it(tmp_path):
    server, engine = spawn(STUBBORN), None
    record(server, tmp_path)
    with (tmp_path / "log").open("ab") as log:
        engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=log, start_new_session=True)
    try:
        server.kill()
        server.wait()
        assert stop_servers(tmp_path) == []
        assert engine.wait(60) == -signal.SIGTERM
    finally:
        engine.kill()
        engine.wait()


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


def test_a_key_goes_with_its_server_and_with_no_other(tmp_path):
    processes = {name: spawn(STUBBORN) for name in ("a", "b")}
    for name, process in processes.items():
        record(process, tmp_path, name)
        make_key(local_key(tmp_path, name), OWNERS_ONLY)
    stop_servers(tmp_path, only="a")
    assert [path.name for path in tmp_path.glob("*.key")] == ["b.key"]
    stop_servers(tmp_path)
    assert list(tmp_path.glob("*.key")) == []


def test_a_server_that_cannot_be_started_leaves_no_key(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-vllm-here" / "python"))
    model = SimpleNamespace(path=tmp_path, digest="d", files={})
    with pytest.raises(FileNotFoundError):
        start_servers({"m": model}, ServingRecipe(), tmp_path / "logs", tmp_path / "servers")
    assert list((tmp_path / "servers").iterdir()) == []


def stand_in_vllm(folder, monkeypatch):
    """A `vllm` that writes down its environment and ends."""
    (folder / "vllm").write_text(f'#!/bin/sh\nprintf "%s" "$*" > {folder}/arguments\nenv > {folder}/environment\n')
    (folder / "vllm").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


@pytest.mark.parametrize("keyed", [True, False])
def test_a_server_gets_its_key_as_a_file_or_none_if_it_may_be_open(tmp_path, monkeypatch, keyed):
    stand_in_vllm(tmp_path, monkeypatch)
    model = SimpleNamespace(path=tmp_path, digest="the-digest", files={"model.safetensors": "0"})
    records = tmp_path / "servers"
    start_servers({"m": model}, ServingRecipe(), tmp_path / "logs", records, wait=False, keyed=keyed)
    environment = wait_for_lines(tmp_path / "environment")
    key = (records / "m.key").read_text() if keyed else "there-is-no-key"
    assert (f"GLOBE_SERVER_KEY_FILE={records}/m.key" in environment) == keyed == (records / "m.key").exists()
    assert ("GLOBE_SERVER_MAY_BE_OPEN=1" in environment) == (not keyed)
    assert "GLOBE_MODEL_DIGEST=the-digest" in environment
    written = [environment, (tmp_path / "arguments").read_text(), (records / "m.json").read_text()]
    assert not [text for text in written if key in str(text)]
    stop_servers(records)
    assert list(records.iterdir()) == []


def wait_for_lines(path):
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text().splitlines()


def model_in(folder):
    return SimpleNamespace(path=folder, digest="the-digest", files={})


def test_each_server_has_the_last_gpus_that_no_other_of_its_run_has(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,4,5")
    (tmp_path / "servers").mkdir()
    lives = spawn(STUBBORN)
    for process, name, gpus in ((lives, "lives", "5"), (spawn("print('up', flush=True)"), "ended", "4")):
        server = record(process, tmp_path / "servers", name)
        (tmp_path / "servers" / f"{name}.json").write_text(json.dumps(asdict(server) | {"gpus": gpus}))
        process.poll() if process is lives else process.wait()
    stand_in_vllm(tmp_path, monkeypatch)
    recipe = ServingRecipe(tensor_parallel_size=2)
    (server,) = start_servers({"m": model_in(tmp_path)}, recipe, tmp_path / "logs", tmp_path / "servers", wait=False)
    assert server.gpus == "1,4"
    assert "CUDA_VISIBLE_DEVICES=1,4" in wait_for_lines(tmp_path / "environment")
    lives.kill()


def test_a_server_for_which_too_few_gpus_are_free_is_not_started(tmp_path, monkeypatch):
    stand_in_vllm(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(GlobeError, match=r"the server for m needs 2 GPUs .*and 1 of this machine's 1 are free"):
        start_servers({"m": model_in(tmp_path)}, ServingRecipe(tensor_parallel_size=2), tmp_path / "logs", tmp_path / "servers")


def test_on_a_machine_without_gpus_none_is_named(tmp_path, monkeypatch):
    stand_in_vllm(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (server,) = start_servers({"m": model_in(tmp_path)}, ServingRecipe(), tmp_path / "logs", tmp_path / "servers", wait=False)
    assert server.gpus == ""
    assert "CUDA_VISIBLE_DEVICES=" in wait_for_lines(tmp_path / "environment")
