"""What a stage's container and a server's may touch of their run: tried in a real engine, with an image of Python alone."""

import os
import sys
from pathlib import Path

import pytest

docker = pytest.importorskip("docker")

from globe.curation.recipe import API_KEY_VARIABLE  # noqa: E402
from globe.run.cluster import SERVER_KEY_VARIABLE  # noqa: E402
from globe.serving.requested import RECORDS  # noqa: E402
from globe.signing import KEY_VARIABLE  # noqa: E402
from pipelines.local.container_settings import Containers  # noqa: E402
from pipelines.local.containers import Engine  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))
from tiny_image import load  # noqa: E402

IMAGE = "localhost/globe-tiny:folders"
TRY = """
import os, sys
def tried(act):
    try:
        act()
    except OSError:
        return "refused"
    return "done"
run, store = sys.argv[1] + "/run", sys.argv[1] + "/store"
records = run + "/servers/records"
print("write a record", tried(lambda: open(records + "/policy.json", "w")))
print("plant a link", tried(lambda: os.symlink("/etc", records + "/policy.json")))
print("move the records", tried(lambda: os.rename(records, run + "/servers/moved")))
print("write beside the log", tried(lambda: open(run + "/summary.json", "w")))
print("ask for a server", tried(lambda: open(run + "/servers/policy.request", "w")))
print("write an event", tried(lambda: open(run + "/events.jsonl", "a")))
print("read the model", tried(lambda: open(store + "/model/weights")))
print("write the model", tried(lambda: open(store + "/model/weights", "a")))
print("read the store", tried(lambda: open(store + "/result.json")))
print("keys", *sorted(name for name in os.environ if "KEY" in name))
"""


def engine_answers() -> bool:
    try:
        return bool(docker.from_env().ping())
    except docker.errors.DockerException:
        return False


pytestmark = pytest.mark.skipif(not engine_answers(), reason="no container engine answers")


@pytest.fixture
def engine(tmp_path, monkeypatch):
    load(IMAGE, os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    for name in ("AWS_SECRET_ACCESS_KEY", API_KEY_VARIABLE, SERVER_KEY_VARIABLE, KEY_VARIABLE):
        monkeypatch.setenv(name, "secret")
    run, store = tmp_path / "run", tmp_path / "store"
    written = [run / "kfp", run / "logs", run / "servers", store]
    for folder in (*written, run / "servers" / RECORDS, store / "model"):
        folder.mkdir(parents=True)
    for file in (run / "events.jsonl", store / "model" / "weights", store / "result.json"):
        file.touch()
    for path in (tmp_path, *tmp_path.rglob("*")):  # the engine's user may be another one than this
        path.chmod(0o777 if path.is_dir() else 0o666)
    return Engine(
        Containers(images=IMAGE), f"test-{os.getpid()}", [*written, run / "events.jsonl"], [run / "servers" / RECORDS], False
    )


def said(engine, container):
    try:
        assert container.wait()["StatusCode"] == 0, container.logs()
        return dict(line.rsplit(" ", 1) for line in container.logs().decode().splitlines())
    finally:
        engine.remove(container)


def test_a_stage_writes_where_it_has_to_and_not_where_this_machine_writes(engine, tmp_path):
    found = said(engine, engine.start_stage(IMAGE, ["python3", "-c", TRY, str(tmp_path)], "sft", {}))
    assert found == {
        "write a record": "refused",
        "plant a link": "refused",
        "move the records": "refused",
        "write beside the log": "refused",
        "ask for a server": "done",
        "write an event": "done",
        "read the model": "done",
        "write the model": "done",
        "read the store": "done",
        "keys": KEY_VARIABLE,
    }


def test_a_server_reads_its_model_and_knows_no_key(engine, tmp_path):
    command = ["python3", "-c", TRY, str(tmp_path)]
    container = engine.start_server(command, "policy", {"OUR_KEY_FILE": "x"}, [tmp_path / "store" / "model"])
    found = said(engine, container)
    assert {act for act, outcome in found.items() if outcome == "done"} == {"read the model"}
    assert found["keys"] == "OUR_KEY_FILE"
