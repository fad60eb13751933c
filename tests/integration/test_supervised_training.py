"""A training that is killed under its supervisor ends with the same weights, bit for bit, as one that was left alone.

The command is that of a package for a cluster, started as a backend's launcher starts it. Killed is KFP's executor, the parent of
the trainer, so that the supervisor has a trainer to end before it may start another in the same folder.
"""

import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from safetensors.torch import load_file

from globe.curation.curation import curation
from globe.curation.recipe import CurationRecipe
from globe.data.recipe import SourceRecipe
from globe.data.source import source
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY
from globe.recipes.load import load_recipe
from globe.run.artifacts import checkpoint, write_checkpoint, write_reference
from globe.run.records import read_records
from pipelines.backends import NEWEST
from pipelines.compile import COMPILED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
OVERRIDES = {"sft.max_steps": 8, "sft.save_steps": 3, "sft.per_device_train_batch_size": 16}
WAIT_S = 1200


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """The artifacts that the stages before SFT hand on."""
    folder = tmp_path_factory.mktemp("inputs")
    drawn = source(
        source="toy", recipe=load_recipe(SourceRecipe, "source", "demo", {"toy_pictures": 200}), store=folder / "store"
    )
    curated = curation(
        data=Path(drawn.outcome.outputs["data"]),
        teachers="simulated",
        recipe_name="demo",
        recipe=load_recipe(CurationRecipe, "curation", "demo"),
        store=folder / "store",
    )
    write_reference(str(folder / "curated"), curated)
    write_checkpoint(str(folder / "base_model"), base_model(model=TINY, seed=0, store=folder / "store"))
    return folder


def launch(inputs: Path, folder: Path) -> subprocess.Popen[str]:
    spec = next(yaml.safe_load_all((COMPILED / NEWEST.folder / "training.yaml").read_text()))
    container = spec["deploymentSpec"]["executors"]["exec-sft"]["container"]
    recipes = {"sft": "demo", "evaluation": "demo", "serving": "demo"}
    values = {
        "recipes": recipes,
        "overrides": OVERRIDES,
        "store": str(folder / "store"),
        "gpus": "0",
        "nodes": {},
        "tolerations": [],
        "cluster": {},
        "run": "run-1",
    }
    given = {name: {"artifacts": [{"name": name, "uri": str(inputs / name)}]} for name in ("base_model", "curated")}
    made = {
        name: {"artifacts": [{"name": name, "uri": str(folder / "out" / name), "type": output["artifactType"]}]}
        for name, output in spec["components"]["comp-sft"]["outputDefinitions"]["artifacts"].items()
    }
    outputs = {
        "artifacts": made,
        "parameters": {"Output": {"outputFile": str(folder / "out" / "Output")}},
        "outputFile": str(folder / "out" / "executor_output.json"),
    }
    told = json.dumps({"inputs": {"parameterValues": values, "artifacts": given}, "outputs": outputs})
    first, *rest = [*container["command"], *container["args"]]
    rest[rest.index("--retries") : rest.index("--retries")] = ["--pause", "0.1"]
    command = [first, *(word.replace("{{$}}", told) for word in rest)]
    env = os.environ | {"GLOBE_RUN_ID": "run-1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill_executor(process: subprocess.Popen[str], there) -> list[psutil.Process]:
    """Kill KFP's executor once something is there; gives what it has left behind."""
    deadline = time.monotonic() + WAIT_S
    while not there():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while True:
        with suppress(psutil.NoSuchProcess):
            all_started = psutil.Process(process.pid).children(recursive=True)
            (executor,) = [one for one in all_started if "kfp.dsl.executor_main" in one.cmdline()]
            left = executor.children(recursive=True)
            executor.kill()
            return left


def weights(folder: Path) -> dict[str, bytes]:
    tensors = load_file(Path(checkpoint(str(folder / "out" / "checkpoint")).uri) / "model.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def metrics(folder: Path) -> dict[str, float]:
    (told,) = json.loads((folder / "out" / "executor_output.json").read_text())["artifacts"]["metrics"]["artifacts"]
    return told["metadata"]


@pytest.mark.long
def test_a_training_killed_under_its_supervisor_ends_with_the_weights_of_one_left_alone(inputs, tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    process = launch(inputs, alone)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said[-3000:]
    process = launch(inputs, killed)
    left = kill_executor(process, lambda: [one for one in killed.rglob("checkpoint-3*") if one.is_dir()])
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said[-3000:]
    assert not [one for one in left if one.is_running()]
    assert said.count("ended by SIGKILL") == 1
    assert weights(killed) == weights(alone)
    assert metrics(killed) == metrics(alone)
    (ours,), (theirs,) = (read_records(str(folder / "store"), "run-1") for folder in (killed, alone))
    assert (ours.attempts, theirs.attempts, ours.gpus) == (2, 1, 0)
    assert (ours.state, theirs.state) == ("succeeded", "succeeded")
