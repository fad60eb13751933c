"""ms-swift runs the code of any model's folder; with the plugin it runs none, and loads the model all the same."""

import os
import subprocess
import sys

import pytest
from model_folders import with_code

from globe.training.arguments import PLUGINS

pytest.importorskip("swift", reason="needs the train extra")

LOAD = """
import sys
from swift.utils import import_external_file
for plugin in sys.argv[2:]:
    import_external_file(plugin)
from swift.model import get_model_info_meta, get_model_processor
get_model_info_meta(sys.argv[1], model_type="qwen2_5_vl")
model, processor = get_model_processor(sys.argv[1], model_type="qwen2_5_vl")
print("loaded", type(model).__module__)
"""


@pytest.mark.parametrize("plugins", [[], PLUGINS[:1]], ids=["as it comes", "with the plugin"])
def test_a_folder_that_passed_by_mistake_runs_no_code(tiny_model, tmp_path, plugins):
    """The first case is the attack: it shows that ms-swift would run the code."""
    folder = with_code(tiny_model, tmp_path / "model", tmp_path / "ran")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "USE_HF": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")}
    command = [sys.executable, "-c", LOAD, str(folder), *plugins]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "ran").exists() is (not plugins)
    if plugins:
        assert "loaded transformers.models.qwen2_5_vl" in done.stdout


ENGINE = """
import sys
from types import SimpleNamespace
import torch
from swift.utils import import_external_file
import_external_file(sys.argv[2])
from swift.infer_engine import VllmEngine
from swift.rlhf_trainers import GRPOTrainer
import swift_data_only as plugin

engine = SimpleNamespace(
    model_dir=sys.argv[1], model_info=SimpleNamespace(torch_dtype=torch.float32), model_meta=SimpleNamespace(model_type=""),
    task_type="causal_lm", use_async_engine=False, enable_lora=False, limit_mm_per_prompt=None, seed=0,
    enable_prefix_caching=None, gpu_memory_utilization=0.5, tensor_parallel_size=1, pipeline_parallel_size=1, max_num_seqs=1,
    disable_custom_all_reduce=True, enforce_eager=True, distributed_executor_backend=None,
    template=SimpleNamespace(set_mode=lambda mode: None, prepare_engine_kwargs=dict), _get_hf_config_overrides=dict,
)
plugin._prepare_vllm_engine = lambda trainer: VllmEngine._prepare_engine_kwargs(engine, 64, None)
VllmEngine._prepare_engine_kwargs(engine, 64, None)
print("trusts", engine.engine_args.trust_remote_code)
GRPOTrainer._prepare_vllm_engine(None)
print("trusts", engine.engine_args.trust_remote_code)
"""


def test_the_engine_that_grpo_starts_is_told_to_trust_no_code(tiny_model):
    """ms-swift's own words to vLLM, before and with the plugin."""
    pytest.importorskip("vllm", reason="needs the serve extra")
    command = [sys.executable, "-c", ENGINE, str(tiny_model), PLUGINS[0]]
    done = subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line for line in done.stdout.splitlines() if line.startswith("trusts")] == ["trusts True", "trusts False"]
