"""Servers that stages in containers ask for: their ports are theirs while they run. The container engine is a double."""

import json
import time
from types import SimpleNamespace

import docker.errors
import pytest

from globe.files import write_json
from globe.serving.ports import lock_port
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import OWNERS_ONLY, local_key, make_key
from pipelines.local.container_settings import Containers
from pipelines.local.server_containers import ServerContainers

SERVERS = 12


class Engine:
    """An engine whose containers never start to listen, as a real one's do not for half a minute."""

    settings = Containers(images="none-{name}")

    def __init__(self, refuses: str = ""):
        self.refuses, self.containers = refuses, {}

    def start(self, reference, command, limit, name, **environment):
        if self.refuses:
            raise docker.errors.APIError("refused", explanation=self.refuses)
        container = SimpleNamespace(attrs={"State": {"Status": "running"}}, reload=lambda: None)
        container.logs = lambda **_: iter([]) if _.get("stream") else b"the last words"
        self.containers[name.removeprefix("server-")] = container
        self.environment = environment
        return container

    def remove(self, container):
        container.attrs["State"]["Status"] = "removed"


@pytest.fixture
def watched(tmp_path):
    """Starts a watcher of a folder of its own; returns its folder."""
    watchers = []

    def watch(engine, name):
        folder = tmp_path / name
        folder.mkdir()
        watchers.append(ServerContainers(engine, folder, folder))
        watchers[-1].start()
        return folder

    yield watch
    for watcher in watchers:
        watcher.finish()


def ask(folder, name):
    make_key(local_key(folder, name), OWNERS_ONLY)
    write_json(folder / f"{name}.request", {"name": name, "model": "/m", "digest": "d", "recipe": ServingRecipe().model_dump()})


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def port_of(folder, name):
    until((folder / f"{name}.json").exists)
    return int(json.loads((folder / f"{name}.json").read_text())["url"].rsplit(":", 1)[1].removesuffix("/v1"))


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
    assert json.loads((folder / "ends.json").read_text())["ended"] == "exit code 137: the last words"


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
    assert "no room" in json.loads((folder / "m.json").read_text())["ended"]


def test_a_servers_container_gets_the_key_that_the_stage_has_left_and_the_models_digest(watched):
    engine = Engine()
    folder = watched(engine, "run")
    ask(folder, "m")
    port_of(folder, "m")
    assert engine.environment["GLOBE_SERVER_KEY"] == local_key(folder, "m").read_text()
    assert engine.environment["GLOBE_MODEL_DIGEST"] == "d"
    assert "GLOBE_SERVER_MAY_BE_OPEN" not in engine.environment
    assert local_key(folder, "m").read_text() not in (folder / "m.json").read_text()
