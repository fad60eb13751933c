"""Who gets which GPUs, and what the rollout engine is told."""

import sys
import urllib.request

import psutil
import pytest

from globe.errors import GlobeError
from globe.recipes.load import load_recipe
from globe.run.events import Reporter
from globe.training import rollout_server as module
from globe.training.fitted import fitted
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.rollout_server import devices, rollout_arguments, rollout_server

NAME = "qwen2.5-vl-7b-three-rewards-6-plus-2"


@pytest.fixture
def recipe() -> GrpoRecipe:
    return load_recipe(GrpoRecipe, "grpo", NAME)


def test_the_first_gpus_train_and_the_last_sample(recipe):
    seen = {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}
    assert devices(recipe, seen) == ({"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5"}, {"CUDA_VISIBLE_DEVICES": "6,7"})


def test_names_of_gpus_are_kept_and_those_too_many_stay_idle(recipe):
    two = recipe.model_copy(update={"nproc_per_node": 1, "rollout_gpus": 1})
    assert devices(two, {"CUDA_VISIBLE_DEVICES": "GPU-b,GPU-a,GPU-c"}) == (
        {"CUDA_VISIBLE_DEVICES": "GPU-b"},
        {"CUDA_VISIBLE_DEVICES": "GPU-a"},
    )


def test_too_few_gpus_are_refused(recipe):
    with pytest.raises(GlobeError, match="4 GPUs are visible; 6 train and 2 sample"):
        devices(recipe, {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})


def test_on_fewer_gpus_fewer_train_and_the_batch_stays(recipe):
    four = fitted(recipe, 4)
    assert (four.nproc_per_node, four.rollout_gpus, four.global_batch) == (2, 2, recipe.global_batch)


def test_each_gpu_that_samples_has_an_engine_unless_they_share_one(recipe, tmp_path):
    assert rollout_arguments(recipe, tmp_path, 8000)["vllm_data_parallel_size"] == 2
    shared = recipe.model_copy(update={"vllm_tensor_parallel_size": 2})
    assert rollout_arguments(shared, tmp_path, 8000)["vllm_data_parallel_size"] == 1


def test_the_engine_listens_on_this_machine_only(recipe, tmp_path):
    assert rollout_arguments(recipe, tmp_path, 8000)["host"] == "127.0.0.1"


def test_where_the_trainer_samples_itself_it_is_told_nothing_and_nothing_is_started_or_missed(recipe, tmp_path):
    beside = recipe.model_copy(update={"vllm_mode": "colocate"})
    with rollout_server(beside, tmp_path, Reporter("grpo", tmp_path / "grpo.log")) as engine:
        assert dict(engine.arguments) == dict(engine.environment) == {}
        engine.require_alive()
    assert list(tmp_path.iterdir()) == []


ENGINE = """
import http.server, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

print("RuntimeError: out of blocks", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def test_the_trainer_is_told_where_its_engine_is_and_keeps_its_own_gpus_and_the_engines_end_is_told(
    recipe, tmp_path, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    monkeypatch.setattr(module, "module_line", lambda _, given: [sys.executable, "-c", ENGINE, str(given["port"])])
    with rollout_server(recipe, tmp_path, Reporter("grpo", tmp_path / "grpo.log")) as engine:
        assert engine.environment == {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5"}
        assert engine.arguments["vllm_server_host"] == ["127.0.0.1"]
        (port,) = engine.arguments["vllm_server_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert answer.status == 200
        assert psutil.Process(engine.process.pid).environ()["CUDA_VISIBLE_DEVICES"] == "6,7"
        engine.require_alive()
        engine.process.kill()
        engine.process.wait()
        with pytest.raises(GlobeError, match="the rollout engine ended with code -9: RuntimeError: out of blocks"):
            engine.require_alive()
