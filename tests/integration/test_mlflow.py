"""A training and an evaluation, as the commands of the compiled package, record themselves in a real MLflow.

Its server is installed beside the laptop's packages, into a folder of its own: `mlflow.in` says why. Without a package index the
tests are skipped.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from fault_server import fault_server, rows

from globe.data.rows import Row
from globe.data.shards import read_dataset, write_dataset
from globe.demo.world import write_world
from globe.models.base_model import base_model
from globe.models.checkpoints import MANIFEST_FILE, Checkpoint, read_checkpoint
from globe.recipes.load import load_recipe
from globe.run import mlflow_record
from globe.run.artifacts import write_checkpoint, write_nothing, write_reference
from globe.run.stage import Outcome, run_stage
from globe.run.tracked import tracked
from globe.training.recipe import SftRecipe
from pipelines.backends import NEWEST
from pipelines.compile import COMPILED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
LOCK = Path(__file__).with_name("mlflow.lock")
START_S = 300
SECRET = "planted-secret-0815"
STEPS = 6
SHORT = {"sft.max_steps": STEPS, "sft.save_steps": 3, "sft.logging_steps": 1, "sft.per_device_train_batch_size": 4}
TITLES = {"policy": "the trained model"}


class Server:
    """A tracking server, by its REST API."""

    def __init__(self, url: str, process: subprocess.Popen) -> None:
        self.url, self.process = url, process

    def wait(self) -> "Server":
        """Wait until it answers."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return self
            except OSError:
                time.sleep(0.2)
        raise AssertionError("MLflow's server does not start")

    def post(self, path: str, **content: Any) -> dict:
        body = json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}/api/2.0/mlflow/{path}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            return json.load(answer)

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(f"{self.url}/api/2.0/mlflow/{path}", timeout=START_S) as answer:
            return json.load(answer)

    def new_run(self, parent: str = "") -> str:
        """A run as KFP's driver makes it for a task, below the pipeline's."""
        tags = [{"key": "mlflow.parentRunId", "value": parent}] if parent else []
        made = self.post("runs/create", experiment_id="0", run_name="task", start_time=1, tags=tags)
        return made["run"]["info"]["run_id"]

    def data(self, run: str, kind: str) -> dict[str, Any]:
        """What a run holds, by key: metrics (their last values), params or tags."""
        return {entry["key"]: entry["value"] for entry in self.get(f"runs/get?run_id={run}")["run"]["data"].get(kind, ())}

    def history(self, run: str, metric: str) -> list[tuple[int, float]]:
        """Every value of a metric that was ever logged, with its step."""
        found = self.get(f"metrics/get-history?run_id={run}&metric_key={metric}")["metrics"]
        return [(point["step"], point["value"]) for point in found]

    def everything(self, run: str) -> str:
        return json.dumps(self.get(f"runs/get?run_id={run}"))


@pytest.fixture(scope="module")
def starting(tmp_path_factory):
    """The server, as soon as it has been started."""
    folder = tmp_path_factory.mktemp("mlflow")
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder / "packages")]
    command += ["--no-deps", "--require-hashes", "-r", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode:
        pytest.skip(f"MLflow cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What `mlflow server` itself starts: its command would import all of MLflow a second time, which takes half a minute.
    kept = {"_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/runs.db", "_MLFLOW_SERVER_ARTIFACT_ROOT": f"{folder}/artifacts"}
    kept |= {"PYTHONPATH": str(folder / "packages"), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | kept,
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    yield Server(f"http://127.0.0.1:{port}", process)
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def world(starting, tmp_path_factory) -> Path:
    """Artifacts of the stages before SFT, on small data, made while the server starts."""
    home = tmp_path_factory.mktemp("run")
    write_world(home / "world", pictures=40, seed=0)
    taught = [row.model_copy(update={"reasoning": "grass"}) for row in read_dataset(home / "world") if row.split == "train"]
    write_dataset(home / "data" / "sft", taught)
    store = home / "store"
    write_checkpoint(str(home / "base_model"), base_model(model="tiny", seed=0, store=store))
    given(home / "curated", store, "curation", home / "data")
    return home


@pytest.fixture(scope="module")
def server(starting, world) -> Server:
    return starting.wait()


def given(artifact: Path, store: Path, stage: str, data: Path) -> None:
    """The artifact of a stage that has made a data set."""

    def work(folder: Path, _: Any) -> Outcome:
        return Outcome("made", {"data": str(shutil.copytree(data, folder / "data", dirs_exist_ok=True))})

    write_reference(str(artifact), run_stage(stage, store=store, inputs={}, settings={}, code=("globe.run.stage",), work=work))


def package() -> dict:
    """The compiled package for the backend that has the plugin."""
    text = (COMPILED / NEWEST.folder / "training.yaml").read_text(encoding="utf-8")
    return next(yaml.safe_load_all(text))


def task(home: Path, name: str, inputs: dict[str, Any], artifacts: dict[str, Path], out: Path, **environment: str) -> str:
    """Run a task's command as its pod would, and return what it prints."""
    spec = package()
    component = spec["components"][f"comp-{name}"]
    container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    wanted = component["inputDefinitions"]["parameters"]
    made = {key: out / key for key in component["outputDefinitions"].get("artifacts", {})}
    executor_input = {
        "inputs": {
            "parameterValues": {key: inputs.get(key, rule.get("defaultValue")) for key, rule in wanted.items()},
            "artifacts": described(component["inputDefinitions"], artifacts),
        },
        "outputs": {
            "parameters": {
                key: {"outputFile": str(out / "parameters" / key)} for key in component["outputDefinitions"].get("parameters", {})
            },
            "artifacts": described(component["outputDefinitions"], made),
            "outputFile": str(out / "executor_output.json"),
        },
    }
    out.mkdir(parents=True)
    words = [*container["command"], *container["args"]]
    done = subprocess.run(
        [json.dumps(executor_input) if word == "{{$}}" else word for word in words],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        timeout=900,
        cwd=home,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def described(definitions: dict, paths: dict[str, Path]) -> dict[str, Any]:
    """Artifacts as KFP's executor is told of them."""
    kinds = {key: rule["artifactType"] for key, rule in definitions.get("artifacts", {}).items()}
    found = {key: {"name": key, "type": kinds[key], "uri": str(path), "metadata": {}} for key, path in paths.items()}
    return {key: {"artifacts": [content]} for key, content in found.items()}


def train(world: Path, out: Path, **environment: str) -> str:
    inputs = {"recipes": {"sft": "demo", "serving": "demo", "evaluation": "demo"}, "overrides": SHORT, "gpus": "0"}
    inputs |= {"nodes": {}, "tolerations": [], "cluster": {}, "run": "run-1", "store": str(world / "store")}
    artifacts = {"base_model": world / "base_model", "curated": world / "curated"}
    return task(world, "sft", inputs, artifacts, out, **environment)


def told(server: Server, run: str) -> dict[str, str]:
    """The variables that KFP's driver gives to a task."""
    return {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_RUN_ID": run, "MLFLOW_EXPERIMENT_ID": "0", "MLFLOW_TRACKING_TOKEN": SECRET}


@pytest.fixture(scope="module")
def trained(server, world) -> tuple[str, str, str]:
    """A pipeline's run, the run of its training below it, and what the training printed."""
    pipeline = server.new_run()
    run = server.new_run(pipeline)
    return pipeline, run, train(world, world / "first", **told(server, run))


def checkpoint_of(world: Path) -> tuple[Checkpoint, list[dict]]:
    """What the training has made, and what its trainer logged at each step."""
    (folder,) = [path.parent for path in (world / "store" / "sft").glob("*/history.json")]
    return read_checkpoint(folder / "checkpoint" / MANIFEST_FILE), json.loads((folder / "history.json").read_text())


def test_a_trainings_curve_is_what_its_trainer_logged_each_step_once(server, world, trained):
    _, run, _ = trained
    _, history = checkpoint_of(world)
    assert [point["step"] for point in history] == list(range(1, STEPS + 1))
    for figure in ("loss", "learning_rate", "grad_norm"):
        recorded = server.history(run, f"sft/{figure}")
        assert [step for step, _ in recorded] == list(range(1, STEPS + 1)), figure
        # ms-swift writes eight digits meanwhile
        assert [value for _, value in recorded] == pytest.approx([point[figure] for point in history], rel=0, abs=1e-8), figure


def test_its_recipe_its_inputs_and_its_checkpoint_are_named(server, world, trained):
    _, run, _ = trained
    made, _ = checkpoint_of(world)
    recipe = load_recipe(SftRecipe, "sft", "demo", {key.removeprefix("sft."): value for key, value in SHORT.items()})
    params = server.data(run, "params")
    fields = {name: value for name, value in recipe.model_dump().items() if name not in ("environment", "arguments")}
    assert {name: params[f"sft.recipe.{name}"] for name in fields} == {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()
    }
    assert not [name for name in params if "environment" in name]
    base = json.loads((world / "base_model").read_text())
    assert params["sft.inputs.base_model"] == made.parent != ""
    assert base["files"]
    tags = server.data(run, "tags")
    assert (tags["globe.checkpoint"], tags["globe.stage"], tags["globe.reused"]) == (made.digest, "sft", "false")


def test_the_final_figures_are_those_that_kfps_launcher_logs_and_stay_one_each(server, world, trained):
    _, run, _ = trained
    output = json.loads((world / "first" / "executor_output.json").read_text())
    logged = output["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    assert logged["steps"] == STEPS
    launched = [{"key": key, "value": float(value), "timestamp": 0, "step": 0} for key, value in logged.items()]
    server.post("runs/log-batch", run_id=run, metrics=launched)  # launcher_v2.go, handler.go: OnTaskEnd
    for key, value in logged.items():
        assert server.history(run, key) == [(0, pytest.approx(value))], key


def test_a_result_that_is_reused_is_recorded_as_such_in_its_own_run_and_again_in_none(server, world, trained):
    _, first, _ = trained
    second = server.new_run()
    train(world, world / "second", **told(server, second))
    assert server.data(second, "tags")["globe.reused"] == "true"
    exact = [(point["step"], point["loss"]) for point in checkpoint_of(world)[1]]
    assert server.history(second, "sft/loss") == exact
    train(world, world / "third", **told(server, second))  # the same pod's second try, say
    assert server.history(second, "sft/loss") == exact
    assert server.history(first, "sft/loss") != []
    assert server.data(second, "params") == server.data(first, "params")


def test_a_task_that_was_killed_and_resumed_adds_what_is_missing(server, monkeypatch):
    monkeypatch.setattr(mlflow_record, "PAUSE_S", 0.05)
    run = server.new_run()
    curve = [{"step": step, "loss": 1 / step, "learning_rate": 1e-9 * step} for step in range(1, 9)]
    with tracked("sft", told(server, run)) as record:  # killed after step 3, back at its checkpoint of step 2
        for values in curve[:3]:
            record.step(values["step"], 8, values)
    with tracked("sft", told(server, run)) as record:
        for values in curve[2:]:
            record.step(values["step"], 8, values)
        record.finish(curve=curve)
    assert server.history(run, "sft/loss") == [(values["step"], values["loss"]) for values in curve]
    assert server.history(run, "sft/learning_rate") == [(values["step"], values["learning_rate"]) for values in curve]


def test_an_evaluation_records_its_figures_and_the_gate_its_verdict_there_and_above(server, world):
    pipeline = server.new_run()
    pictures: list[Row] = rows(12)
    write_dataset(world / "pictures", pictures)
    given(world / "test", world / "store", "source", world / "pictures")
    write_nothing(str(world / "nobody"))
    common = {"titles": TITLES, "recipes": {"evaluation": "demo", "serving": "demo"}, "store": str(world / "store"), "run": "r-1"}
    common |= {"overrides": {}}
    evaluating, judging = server.new_run(pipeline), server.new_run(pipeline)
    with fault_server(pictures) as model:
        inputs = common | {"url": model.url, "model_name": "faulty"}
        artifacts = {"policy": world / "nobody", "test": world / "test"}
        task(world, "evaluation", inputs, artifacts, world / "evaluated", **told(server, evaluating))
    (metrics,) = [json.loads(path.read_text()) for path in (world / "store" / "evaluation").glob("*/policy/metrics.json")]
    recorded = server.data(evaluating, "metrics")
    assert {key: value for key, value in recorded.items() if key.startswith("accuracy_")} == {
        f"accuracy_{km}km_percent": percent for km, percent in metrics["accuracy"].items()
    }
    assert {key: recorded[key] for key in ("n", "geoscore", "failed_percent", "country_match")} == {
        key: metrics[key] for key in ("n", "geoscore", "failed_percent", "country_match")
    }
    assert recorded["n"] == 12
    assert server.data(evaluating, "tags")["globe.model"] == TITLES["policy"]

    artifacts = {"evaluated": world / "evaluated" / "evaluated"}
    task(world, "gate", common, artifacts, world / "judged", GLOBE_RUN_ID="r-1", **told(server, judging))
    verdict = json.loads((world / "judged" / "executor_output.json").read_text())["parameterValues"]["verdict"]
    assert verdict in ("promote", "reject", "inconclusive")
    for run in (judging, pipeline):
        assert server.data(run, "tags")["globe.verdict"] == verdict
    assert server.data(judging, "tags")["globe.run"] == "r-1"
    assert server.data(judging, "tags")["mlflow.note.content"].startswith("- ")


def test_no_key_is_in_a_record_or_in_what_a_task_prints(server, trained):
    pipeline, run, printed = trained
    assert SECRET not in server.everything(run) + server.everything(pipeline) + printed
    assert "MLflow" not in printed
