"""Every task on a cluster is supervised: the packages say so, and a task from one is killed and ends as one left alone."""

import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from kfp import dsl, local

from components.contract import made_tasks, stage_of
from components.source import source
from globe.run.cluster import Cluster
from globe.run.finish import finish
from globe.run.records import read_records
from globe.storage.trees import files_below
from pipelines import DEFAULT_PROFILE
from pipelines.backends import BACKENDS, NEWEST
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED, cluster_of
from pipelines.placement import place, size_of

CLUSTER = cluster_of(DEFAULT_PROFILE)
SUPERVISE = ["python3", "-m", "globe.run.supervise"]
PICTURES = 700
each_package = pytest.mark.parametrize(
    ("backend", "name"),
    [pytest.param(backend, name, id=f"{backend.folder}-{name}") for backend in BACKENDS.values() for name in PIPELINES],
)


def package(backend, name):
    return list(yaml.safe_load_all((COMPILED / backend.folder / f"{name}.yaml").read_text()))


def containers(spec):
    return {name.removeprefix("exec-"): executor["container"] for name, executor in spec["deploymentSpec"]["executors"].items()}


def component_of(container) -> str:
    """KFP's name of a container's component."""
    return container["args"][container["args"].index("--function_to_execute") + 1].replace("_", "-")


def retries(spec) -> dict[str, int]:
    """How often the backend may start each component's pod again."""
    dags = [component["dag"] for component in [spec["root"], *spec["components"].values()] if "dag" in component]
    made = [task for dag in dags for task in dag["tasks"].values()]
    return {
        task["componentRef"]["name"].removeprefix("comp-"): task.get("retryPolicy", {}).get("maxRetryCount", 0) for task in made
    }


@each_package
def test_a_supervisor_stands_before_each_tasks_command_with_as_many_retries_as_its_stage_has(backend, name):
    spec, _ = package(backend, name)
    for task, container in containers(spec).items():
        row = stage_of(component_of(container))
        gpus = ["--gpus-input", "gpus"] if "accelerator" in container["resources"] else []
        secrets = {} if backend.optional_secrets else CLUSTER.secrets_of(row.name)
        files = [part for key in secrets for part in ("--secret", f"/globe-secrets/{key}:{','.join(secrets[key])}")]
        told = [*SUPERVISE, "--stage", row.name, "--retries", str(size_of(CLUSTER, row).retries), *gpus, *files, "--"]
        assert container["command"][: len(told)] == told, task
        assert container["command"][len(told)] == "sh"  # KFP's own
        assert container["command"].count("globe.run.supervise") == 1


@each_package
def test_a_backend_that_starts_failed_pods_again_may_do_so_once_and_one_that_only_replaces_lost_ones_as_often(backend, name):
    spec, _ = package(backend, name)
    counts = retries(spec)
    for task, container in containers(spec).items():
        own = size_of(CLUSTER, stage_of(component_of(container))).retries
        if not backend.retries_in_groups and task not in spec["root"]["dag"]["tasks"]:
            own = 0
        assert counts[task] == (min(own, 1) if backend.retries_failures else own), task


@each_package
def test_every_pod_knows_its_run_from_the_label_that_the_backend_gives_it(backend, name):
    _, platform = package(backend, name)
    for task, pod in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        assert pod["fieldPathAsEnv"] == [{"fieldPath": "metadata.labels['pipeline/runid']", "name": "GLOBE_RUN_ID"}], task


@pytest.mark.parametrize("name", PIPELINES)
def test_on_a_laptop_nothing_is_supervised(name):
    said = str(PIPELINES[name].build(None).pipeline_spec)
    assert "kfp.dsl.executor_main" in said
    assert "globe.run.supervise" not in said


# A task from a package, started as a backend's launcher starts it


def launched(backend, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command of stage source as a launcher makes it: `{{$}}` becomes what it tells the task, in all but the first word."""
    spec, _ = package(backend, "training")
    container = containers(spec)["source"]
    values = {
        "source": "toy",
        "recipes": {"source": "demo"},
        "overrides": {"source.toy_pictures": PICTURES},
        "store": str(folder / "store"),
        "start_from": {},
    }
    data = {"artifacts": [{"name": "data", "uri": str(folder / "out" / "data"), "type": {"schemaTitle": "system.Dataset"}}]}
    outputs = {"artifacts": {"data": data}, "outputFile": str(folder / "out" / "executor_output.json")}
    told = json.dumps({"inputs": {"parameterValues": values}, "outputs": outputs})
    first, *rest = [*container["command"], *container["args"]]
    rest[rest.index("--retries") : rest.index("--retries")] = ["--pause", "0.1"]
    return [first, *(word.replace("{{$}}", told) for word in rest)], os.environ | {"GLOBE_RUN_ID": "run-1"}


def results(folder: Path) -> dict[str, bytes]:
    """All files that the store counts as a result's, with the one figure that differs, its seconds, taken out."""
    store = folder / "store"
    found = {path.relative_to(store).as_posix(): path for path in files_below(store, lambda name: name == "runs")}
    kept = {name: path.read_bytes() for name, path in found.items() if not name.endswith((".lock", ".log"))}
    (record,) = [name for name in kept if name.endswith("result.json")]
    told = json.loads(kept[record])
    kept[record] = json.dumps(told | {"seconds": 0}).encode()
    return kept


def kill_when(process: subprocess.Popen, there) -> None:
    """Kill what does the stage's work, with SIGKILL, as soon as something is there."""
    deadline = time.monotonic() + 900
    while True:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).children(recursive=True)
            working = [one for one in started if "kfp.dsl.executor_main" in one.cmdline()]
            if working and there():
                working[-1].kill()
                return
        time.sleep(0.005)


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("left-alone")
    command, env = launched(NEWEST, folder)
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("version", [NEWEST.version, list(BACKENDS)[-1]])
def test_a_stage_that_is_killed_twice_ends_with_the_same_bytes_as_one_left_alone(version, left_alone, tmp_path):
    command, env = launched(BACKENDS[version], tmp_path)
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        kill_when(process, lambda: list(tmp_path.glob("store/source/*.lock")))  # it has just begun
        kill_when(process, lambda: list(tmp_path.glob("store/source/*/data/*")))  # it is writing
        _, said = process.communicate(timeout=900)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert said.count("SIGKILL") == 2
    assert results(tmp_path) == results(left_alone)
    assert json.loads((tmp_path / "out" / "data").read_text()).keys() == {"stage", "key", "folder"}
    (ours,), (theirs,) = (read_records(str(folder / "store"), "run-1") for folder in (tmp_path, left_alone))
    assert (ours.state, ours.attempts, ours.figure) == ("succeeded", 3, theirs.figure)
    assert (theirs.state, theirs.attempts) == ("succeeded", 1)


@pytest.mark.parametrize(("name", "goal"), [("training", "promote"), ("evaluation", "verdict")])
def test_a_run_that_the_gate_rejects_is_told_as_rejected_with_its_reasons(name, goal, tmp_path, monkeypatch):
    spec, _ = package(NEWEST, name)
    values = {"reasons": "worse in Kenya", "verdict": "reject", "store": str(tmp_path / "store")}
    wanted = spec["components"]["comp-reject"]["inputDefinitions"]["parameters"]
    outputs = {"outputFile": str(tmp_path / "executor_output.json")}
    told = json.dumps({"inputs": {"parameterValues": {each: values[each] for each in wanted}}, "outputs": outputs})
    first, *rest = [*containers(spec)["reject"]["command"], *containers(spec)["reject"]["args"]]
    monkeypatch.setenv("GLOBE_RUN_ID", "run-1")
    assert subprocess.run([first, *(word.replace("{{$}}", told) for word in rest)]).returncode == 1
    ended = finish(store=values["store"], run="", pipeline="", goal=goal, cluster=Cluster())
    assert (ended.state, ended.reasons) == ("rejected", ("the gate rejected the policy: worse in Kenya",))


@pytest.mark.filterwarnings("ignore::UserWarning:kfp", "ignore::RuntimeWarning:kfp")
def test_kfps_own_local_runner_starts_a_supervised_command_too(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_RUN_ID", "run-1")

    @dsl.pipeline
    def one_stage(store: str):
        with made_tasks() as made:
            source(source="toy", recipes={"source": "demo"}, overrides={"source.toy_pictures": 5}, store=store)
        for task, stage in made:
            place(task, stage, CLUSTER, NEWEST)

    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    one_stage(store=str(tmp_path / "store"))
    (record,) = read_records(str(tmp_path / "store"), "run-1")
    assert (record.stage, record.state, record.figure) == ("source", "succeeded", "5 pictures of a toy world")
