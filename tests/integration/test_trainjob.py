"""A training on two nodes, as a TrainJob: real ms-swift on real processes, one a node; a double plays Kubeflow Trainer.

It ends with the weights of the same training by two processes of one machine, also when its stage is lost in the middle.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from toy_data import curated_toy
from trainer_double import NAMESPACE, trainer_double

from globe.models.base_model import base_model
from globe.models.checkpoints import TINY

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
WAIT_S = 1200
STAGE = """
import sys
from pathlib import Path
from globe.models.checkpoints import read_checkpoint
from globe.recipes.load import load_recipe
from globe.training.recipe import SftRecipe
from globe.training.sft import sft
from globe.training.trainjob.job import Nodes

model, data, store, several = sys.argv[1:]
settings = {"max_steps": 12, "save_steps": 3, "nproc_per_node": 2, "per_device_train_batch_size": 8}
nodes = Nodes(2, 0, "none", "globe-store", "/mnt/globe", namespace=several) if several else None
recipe = load_recipe(SftRecipe, "sft", "demo", settings)
made = sft(
    base_model=read_checkpoint(Path(model)), data=Path(data), recipe_name="demo", recipe=recipe, store=Path(store), several=nodes
)
print(made.outcome.outputs["checkpoint"])
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[str, str]:
    """The tiny model's checkpoint, and a curated folder."""
    store = tmp_path_factory.mktemp("store")
    model = base_model(model=TINY, seed=0, store=store).outcome.outputs["checkpoint"]
    return model, str(curated_toy(store, 120))


def start(inputs: tuple[str, str], store: Path, several: str, **environment: str) -> subprocess.Popen:
    """Start the stage as a process of its own."""
    argv = [sys.executable, "-c", STAGE, *inputs, str(store), several]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment, start_new_session=True
    )


def weights(process: subprocess.Popen) -> dict:
    said, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said + errors
    return load_file(Path(said.splitlines()[-1]) / "model.safetensors")


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@pytest.mark.long
def test_two_nodes_end_with_the_weights_of_two_processes_also_when_their_stage_is_lost_in_the_middle(inputs, tmp_path):
    alone = weights(start(inputs, tmp_path / "alone", ""))
    assert not equal(alone, load_file(Path(inputs[0]) / "model.safetensors"))
    with trainer_double(tmp_path) as (trainer, kubeconfig):
        first = start(inputs, tmp_path / "nodes", NAMESPACE, KUBECONFIG=str(kubeconfig))
        deadline = time.monotonic() + WAIT_S
        while not list((tmp_path / "nodes").glob("sft/*/swift/checkpoint-3/whole.json")):
            assert first.poll() is None, first.stderr.read()
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)  # the stage's pod is lost; its job goes on
        first.wait()
        assert len(trainer.jobs) == 1
        second = weights(start(inputs, tmp_path / "nodes", NAMESPACE, KUBECONFIG=str(kubeconfig)))
        assert [len(job["spec"]["trainer"]["args"]) for job in trainer.submitted] == [1]  # found again, not submitted twice
        assert trainer.submitted[0]["spec"]["trainer"]["numNodes"] == 2
    assert equal(second, alone)
    (history,) = (tmp_path / "nodes").glob("sft/*/history.json")
    (mark,) = (tmp_path / "nodes").glob("sft/*/checkpoint/globe-checkpoint.json")
    assert [values["step"] for values in json.loads(history.read_text()) if "loss" in values][-1] == 12
    assert json.loads(mark.read_text())["step"] == 12
