"""Servers that stages in containers ask for: their ports are theirs while they run, and a stage is not trusted.

The container engine is a double; files and threads are real.
"""

import json
import os
import time
from types import SimpleNamespace

import docker.errors
import pytest

from globe import storage
from globe.files import write_json
from globe.serving.ports import lock_port
from globe.serving.recipe import ServingRecipe
from globe.serving.requested import Requests
from globe.serving.server_key import OWNERS_ONLY, local_key, make_key
from globe.signing import KEY_VARIABLE, SIGNED_VARIABLE
from pipelines.local import server_containers
from pipelines.local.container_settings import Containers
from pipelines.local.containers import ONLY_FOR
from pipelines.local.server_containers import ServerContainers

SERVERS = 12
KEYS = {*storage.S3_VARIABLES, *ONLY_FOR, KEY_VARIABLE, SIGNED_VARIABLE}


class Engine:
    """An engine whose containers never start to listen, as a real one's do not for half a minute."""

    settings = Containers(images="none-{name}")

    def __init__(self, refuses: str = ""):
        self.refuses, self.containers, self.started, self.ended = refuses, {}, [], False

    def start_server(self, command, name, environment, reads):
        if self.refuses:
            raise docker.errors.APIError("refused", explanation=self.refuses)
        self.started.append((name, command, environment, reads))
        container = SimpleNamespace(attrs={"State": {"Status": "running"}}, reload=lambda: None)
        container.logs = lambda **_: iter([]) if _.get("stream") else b"the last words"
        self.containers[name] = container
        return container

    def remove(self, container):
        container.attrs["State"]["Status"] = "removed"

    def remove_all(self):
        self.ended = True


@pytest.fixture
def watched(tmp_path):
    """Starts a watcher of a folder of its own; returns its folder."""
    watchers = []
    (tmp_path / "store" / "model").mkdir(parents=True)

    def watch(engine, name):
        folder = tmp_path / name
        (folder / "records").mkdir(parents=True)
        watchers.append(ServerContainers(engine, folder, [tmp_path / "store"]))
        watchers[-1].start()
        return folder

    yield watch
    for watcher in watchers:
        watcher.finish()


def request(folder, name, **changes):
    model = str(folder.parent / "store" / "model")
    return {"name": name, "model": model, "digest": "d0", "recipe": ServingRecipe().model_dump()} | changes


def ask(folder, name, **changes):
    make_key(local_key(folder, name), OWNERS_ONLY)
    write_json(folder / f"{name}.request", request(folder, name, **changes))


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def port_of(folder, name):
    return int(record(folder, name)["url"].rsplit(":", 1)[1].removesuffix("/v1"))


def record(folder, name):
    until((folder / "records" / f"{name}.json").exists)
    return json.loads((folder / "records" / f"{name}.json").read_text())


def is_free(port):
    lock = lock_port(port)
    if lock:
        lock.close()
    return lock is not None


def test_a_servers_port_is_locked_until_it_is_stopped_or_has_ended(watched):
    engine = Engine()
    folder = watched(engine, "run")
    for name in ("stopped", "ends"):
        ask(folder, name)
    ports = {name: port_of(folder, name) for name in ("stopped", "ends")}
    assert not any(is_free(port) for port in ports.values())
    (folder / "stopped.stop").touch()
    until(lambda: is_free(ports["stopped"]))
    assert not is_free(ports["ends"])
    engine.containers["ends"].attrs["State"] = {"Status": "exited", "ExitCode": 137}
    until(lambda: is_free(ports["ends"]))
    assert record(folder, "ends")["ended"] == "exit code 137: the last words"


def test_servers_of_two_runs_that_start_at_once_have_ports_of_their_own(watched):
    folders = [watched(Engine(), run) for run in ("one", "two")]
    for number in range(SERVERS):
        for folder in folders:
            ask(folder, f"m{number}")
    ports = [port_of(folder, f"m{number}") for folder in folders for number in range(SERVERS)]
    assert len(set(ports)) == 2 * SERVERS
    assert not any(is_free(port) for port in ports)


def test_a_server_that_the_engine_refuses_holds_no_port(watched):
    folder = watched(Engine(refuses="no room"), "run")
    ask(folder, "m")
    assert is_free(port_of(folder, "m"))
    assert "no room" in record(folder, "m")["ended"]


def test_a_server_sees_its_model_alone_and_has_no_key_of_anybody(watched):
    engine = Engine()
    folder = watched(engine, "run")
    ask(folder, "policy")
    port_of(folder, "policy")
    ((name, command, environment, reads),) = engine.started
    assert (name, command[:2], reads) == ("policy", ["vllm", "serve"], [folder.parent / "store" / "model"])
    assert environment.keys().isdisjoint(KEYS)


def test_a_servers_container_gets_the_key_that_the_stage_has_left_and_the_models_digest(watched):
    engine = Engine()
    folder = watched(engine, "run")
    ask(folder, "m")
    port_of(folder, "m")
    environment = engine.started[0][2]
    assert environment["GLOBE_SERVER_KEY"] == local_key(folder, "m").read_text()
    assert environment["GLOBE_MODEL_DIGEST"] == "d0"
    assert "GLOBE_SERVER_MAY_BE_OPEN" not in environment
    assert local_key(folder, "m").read_text() not in (folder / "records" / "m.json").read_text()


@pytest.mark.parametrize("plant", [lambda key: key.unlink(), lambda key: key.write_text("short"), os.mkfifo])
def test_a_server_without_a_key_is_not_started(watched, plant):
    engine = Engine()
    folder = watched(engine, "run")
    key = local_key(folder, "m")
    make_key(key, OWNERS_ONLY)
    if plant is os.mkfifo:
        key.unlink()
    plant(key)
    write_json(folder / "m.request", request(folder, "m"))
    assert "refused" in record(folder, "m")["ended"]
    assert engine.started == []


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


BAD_REQUESTS = {
    "no JSON": b"{",
    "no object": b"[1]",
    "deep": b"[" * 60_000,
    "huge": b" " * 70_000,
    "empty": b"",
    "numbers": b'{"name": "bad", "model": 7, "recipe": {}}',
    "no recipe": b'{"name": "bad", "model": "/"}',
    "a digit": b"9" * 5000,
}


@pytest.mark.parametrize("kind", BAD_REQUESTS)
def test_a_malformed_request_is_told_in_one_line_and_the_next_is_answered(watched, capfd, kind):
    folder = watched(Engine(), "run")
    (folder / "bad.request").write_bytes(BAD_REQUESTS[kind])
    until(lambda: not (folder / "bad.request").exists())
    assert "the request was refused" in record(folder, "bad")["ended"]
    ask(folder, "good")
    assert port_of(folder, "good")
    (line,) = capfd.readouterr().out.splitlines()
    assert line.startswith("'bad.request' of a stage is refused: ")


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "a/b", "..", "", "x\n--trust-remote-code", "x" * 101, 7, None])
def test_a_name_that_is_a_path_writes_nothing_anywhere(watched, tmp_path, capfd, name):
    folder = watched(Engine(), "run")
    before = tree(tmp_path)
    write_json(folder / "bad.request", request(folder, name))
    until(lambda: not (folder / "bad.request").exists())
    assert record(folder, "bad")["ended"]
    assert tree(tmp_path) - before == {"run/records/bad.json"}
    assert len(capfd.readouterr().out.splitlines()) == 1


def test_a_request_is_about_the_server_that_its_file_is_named_after(watched):
    engine = Engine()
    folder = watched(engine, "run")
    write_json(folder / "bad.request", request(folder, "policy"))
    assert "another server, policy" in record(folder, "bad")["ended"]
    assert engine.started == []


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": ServingRecipe().model_dump() | {"dtype": "auto --trust-remote-code"}},
        {"recipe": ServingRecipe().model_dump() | {"trust_remote_code": True}},
        {"recipe": ServingRecipe().model_dump() | {"max_num_seqs": "64 --api-key x"}},
        {"arguments": ["--trust-remote-code"]},
        {"log": "/etc/passwd"},
        {"model": "--trust-remote-code"},
        {"model": "/"},
        {"model": "/etc"},
        {"model": "model"},
        {"model": "s3://bucket/model"},
        {"model": "/nul\0"},
    ],
)
def test_what_is_no_part_of_a_request_starts_nothing(watched, change):
    engine = Engine()
    folder = watched(engine, "run")
    ask(folder, "policy", **change)
    assert "refused" in record(folder, "policy")["ended"]
    assert engine.started == []


def test_a_model_that_a_link_or_dots_lead_to_is_no_model_of_the_run(watched, tmp_path):
    engine = Engine()
    folder = watched(engine, "run")
    (tmp_path / "secret").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path / "secret")
    for name, model in (("linked", tmp_path / "store" / "link"), ("dotted", tmp_path / "store" / ".." / "secret")):
        ask(folder, name, model=str(model))
        assert "no folder of the run's store" in record(folder, name)["ended"]
    assert engine.started == []


def test_links_pipes_folders_and_odd_names_are_refused_and_the_watcher_goes_on(watched, tmp_path, capfd):
    folder = watched(Engine(), "run")
    write_json(tmp_path / "real", request(folder, "link"))
    (folder / "link.request").symlink_to(tmp_path / "real")
    (folder / "zero.request").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.request")
    (folder / "folder.request").mkdir()
    (folder / "other.stop").mkdir()
    (folder / "two\nlines\x1b[2J.request").touch()
    (folder / "...stop").touch()
    for name in ("link", "zero", "pipe", "folder"):
        assert "refused" in record(folder, name)["ended"]
    ask(folder, "good")
    assert port_of(folder, "good")
    until(lambda: not (folder / "...stop").exists())
    assert (tmp_path / "real").exists()
    lines = capfd.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("'folder.request'")]) == 1  # it stays, and is told once
    assert all(line.isprintable() and "of a stage is refused: " in line for line in lines)


def test_a_planted_record_or_log_is_neither_read_nor_written_through(watched, tmp_path):
    folder = watched(Engine(), "run")
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / "serving-policy.log").symlink_to(precious)
    (folder / "policy.json").symlink_to(precious)
    write_json(folder / "grpo.json", {"url": "http://elsewhere/v1", "log": "/etc/passwd"})
    ask(folder, "policy")
    assert port_of(folder, "policy")
    (folder / "policy.stop").touch()
    until(lambda: not (folder / "policy.stop").exists())
    assert precious.read_text() == "mine"
    requests = Requests(folder)
    requests.require_alive("grpo")
    assert requests.stop() == []


def test_a_server_that_runs_is_not_started_twice_and_no_stage_takes_the_machine(watched, monkeypatch):
    engine = Engine()
    folder = watched(engine, "run")
    ask(folder, "policy")
    port = port_of(folder, "policy")
    ask(folder, "policy")
    until(lambda: not (folder / "policy.request").exists())
    assert port_of(folder, "policy") == port
    monkeypatch.setattr(server_containers, "MOST_SERVERS", 1)
    ask(folder, "more")
    assert "1 servers at most" in record(folder, "more")["ended"]
    assert len(engine.started) == 1


def test_a_watcher_that_cannot_go_on_ends_the_run_and_says_why(watched, capfd):
    engine = Engine()
    folder = watched(engine, "run")
    ask(folder, "policy")
    port_of(folder, "policy")
    (folder / "records" / "policy.json").unlink()
    engine.containers["policy"].attrs["State"] = {"Status": "exited", "ExitCode": 1}
    until(lambda: engine.ended)
    assert "FileNotFoundError" in capfd.readouterr().out
