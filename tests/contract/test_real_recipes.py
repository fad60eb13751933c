"""The recipes at real size, resolved and parsed by the installed ms-swift's own argument classes.

One child process parses all of them, as `swift sft` and `swift rlhf` do, against model folders that hold nothing but a
configuration of the real sizes. What a machine without a GPU cannot check is named here: bfloat16 training is refused without
one (`use_cpu` is added then), and DeepSpeed is not in the laptop's lock (its configuration is looked up by name then; with it
installed, ms-swift reads the configuration itself). Neither weights nor an engine are loaded anywhere.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from globe.recipes.load import RECIPES_FOLDER, load_recipe
from globe.run.stages import RECIPES
from globe.training.arguments import reward_model_arguments, sft_arguments
from globe.training.grpo_arguments import grpo_arguments
from globe.training.recipe import PIXELS_A_TOKEN, TrainRecipe
from globe.training.rollout_server import rollout_arguments
from globe.training.swift import arguments_line

STAGES = ("sft", "reward_model", "grpo")
NAMES = [
    (stage, path.stem) for stage in STAGES for path in sorted((RECIPES_FOLDER / stage).glob("*.yaml")) if path.stem != "demo"
]
HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None
MAX_MEMORY_MB = 2000

OURS = {
    **{"learning_rate": 1e-6, "warmup_ratio": 0.03, "beta": 0.0, "max_completion_length": 512, "save_steps": 50},
    **{"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28, "overlong_filter": True, "log_entropy": True},
    **{"rollout_importance_sampling_mode": "token_truncate", "rollout_importance_sampling_threshold": 2.0},
    **{"sleep_level": 1, "move_model_batches": 4, "vllm_gpu_memory_utilization": 0.45, "vllm_mm_processor_cache_gb": 0.0},
    **{"vllm_limit_mm_per_prompt": {"image": 1, "video": 0}, "tuner_type": "full"},
}
"""Of our own recipe on eight GPUs, under ms-swift's names."""

# What ms-swift does with a command line, for several of them: `swift.pipelines.base.SwiftPipeline._parse_args`.
PARSE = """
import json, resource, sys

import torch
import transformers
import swift.arguments.deploy_args
from swift.arguments import RLHFArguments, RolloutArguments, SftArguments
from swift.model import MODEL_MAPPING
from swift.utils import parse_args

jobs = json.load(sys.stdin)
for model_type, folder in jobs["models"].items():
    architecture = MODEL_MAPPING[model_type].architectures[0]
    getattr(transformers, architecture).config_class(architectures=[architecture]).save_pretrained(folder)

RLHFArguments._init_external_vllm = lambda args: None  # it connects to the engine
swift.arguments.deploy_args.get_device_count = lambda: 2
KINDS = {"grpo": RLHFArguments, "rollout": RolloutArguments}

results = {}
for name, argv in jobs["argv"].items():
    kind = KINDS.get(name.split("/")[0], SftArguments)
    argv = argv if torch.cuda.is_available() or kind is RolloutArguments else [*argv, "--use_cpu", "true"]
    try:
        args, unknown = parse_args(kind, argv)
        values = {key: value for key, value in vars(args).items() if isinstance(value, (str, int, float, list, dict, type(None)))}
        values["waits_s"] = args.training_args.ddp_timeout_delta.total_seconds() if kind is not RolloutArguments else None
        results[name] = {"unknown": unknown, "values": values}
    except Exception as error:
        results[name] = {"error": f"{type(error).__name__}: {error}"}
memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print("\\n@@" + json.dumps({"results": results, "memory_mb": memory_mb}, default=str))
"""


def arguments_of(stage: str, recipe: Any, model: Path, folder: Path) -> dict[str, Any]:
    """The stage's own translation of its recipe."""
    if stage == "grpo":
        engine = {"vllm_server_host": ["127.0.0.1"], "vllm_server_port": [1], "vllm_server_group_port": [2]}
        arguments = grpo_arguments(recipe, model, folder / "train.jsonl", folder / "out", recipe.rewards)
        return arguments | (engine if recipe.vllm_mode == "server" else {})
    return {"sft": sft_arguments, "reward_model": reward_model_arguments}[stage](
        recipe, model, folder / "train.jsonl", folder / "out"
    )


def recipe_of(stage: str, name: str) -> Any:
    return load_recipe(RECIPES[stage], stage, name)


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("swift", reason="needs the train extra")
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "data").mkdir()
    (folder / "data" / "train.jsonl").write_text("")
    argv, models = {}, {}
    for stage, name in NAMES:
        recipe = recipe_of(stage, name)
        models[recipe.model_type] = str(folder / recipe.model_type)
        arguments = arguments_of(stage, recipe, folder / recipe.model_type, folder)
        if not HAS_DEEPSPEED:
            arguments.pop("deepspeed", None)
        argv[f"{stage}/{name}"] = arguments_line(arguments)
        if stage == "grpo" and recipe.vllm_mode == "server":
            argv[f"rollout/{name}"] = arguments_line(rollout_arguments(recipe, folder / recipe.model_type, 8000))
    argv["grpo/with an option of ms-swift 3"] = [*argv["grpo/qwen2.5-vl-7b-one-reward"], "--num_infer_workers", "2"]
    argv["sft/of an unknown model type"] = [*argv["sft/qwen2.5-vl-7b"], "--model_type", "internvl3"]
    jobs = {"argv": argv, "models": models}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "USE_HF": "1", "OMP_NUM_THREADS": "1"}
    child = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps(jobs), capture_output=True, text=True, env=os.environ | offline, cwd=folder, timeout=540,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-2000:]
    found: dict[str, Any] = json.loads(child.stdout.rpartition("\n@@")[2])
    return found


def values(parsed: dict[str, Any], stage: str, name: str) -> dict[str, Any]:
    result = parsed["results"][f"{stage}/{name}"]
    assert "error" not in result, result["error"]
    assert result["unknown"] == []
    found: dict[str, Any] = result["values"]
    return found


@pytest.mark.parametrize(("stage", "name"), NAMES)
def test_ms_swift_takes_every_argument_of_a_recipe(parsed: dict[str, Any], stage: str, name: str) -> None:
    recipe: TrainRecipe = recipe_of(stage, name)
    found = values(parsed, stage, name)
    assert found["learning_rate"] == recipe.learning_rate
    assert found["num_train_epochs"] == recipe.num_train_epochs
    assert found["max_length"] == recipe.max_length
    assert (found["model_type"], found["template"]) == (recipe.model_type, recipe.template or recipe.model_type)
    assert found["attn_impl"] == recipe.attn_impl
    assert found["bf16"] is True
    assert found["eval_strategy"] == "no"
    assert found["tuner_type"] == recipe.tuner_type
    assert found["waits_s"] == recipe.ddp_timeout == 3600  # for a stuck collective; ms-swift alone would wait 208 days


def test_ms_swift_takes_every_argument_of_an_engine_with_gpus_of_its_own(parsed: dict[str, Any]) -> None:
    found = values(parsed, "rollout", "qwen2.5-vl-7b-three-rewards-6-plus-2")
    assert (found["vllm_data_parallel_size"], found["vllm_tensor_parallel_size"], found["host"]) == (2, 1, "127.0.0.1")
    assert found["vllm_max_model_len"] == 2048 + 1024


def test_the_check_can_fail(parsed: dict[str, Any]) -> None:
    assert parsed["results"]["grpo/with an option of ms-swift 3"]["unknown"] == ["--num_infer_workers", "2"]
    assert "error" in parsed["results"]["sft/of an unknown model type"]


def test_parsing_loads_no_model(parsed: dict[str, Any]) -> None:
    assert parsed["memory_mb"] < MAX_MEMORY_MB


@pytest.mark.parametrize("name", ["qwen2.5-vl-7b", "internvl3-8b"])
def test_sft_trains_all_but_the_vision_tower_in_batches_of_64(parsed: dict[str, Any], name: str) -> None:
    found = values(parsed, "sft", name)
    assert (found["tuner_type"], found["freeze_vit"], found["freeze_aligner"]) == ("full", True, True)
    assert (found["learning_rate"], found["num_train_epochs"]) == (1e-5, 2)
    assert batch(found, "sft", name) == 64


def test_the_reward_model_is_a_lora_of_rank_16_and_alpha_64(parsed: dict[str, Any]) -> None:
    for name in ("qwen2.5-vl-7b", "internvl3-8b", "1x80gb-lora", "1x24gb-3b"):
        found = values(parsed, "reward_model", name)
        assert (found["tuner_type"], found["lora_rank"], found["lora_alpha"]) == ("lora", 16, 64)
        assert (found["learning_rate"], found["num_train_epochs"]) == (1e-4, 2)
        assert batch(found, "reward_model", name) == 128


@pytest.mark.parametrize("model", ["qwen2.5-vl-7b", "internvl3-8b"])
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("one-reward", {"accuracy": 1.0, "format": 1.0}),
        ("two-rewards", {"accuracy": 1.0, "visual_precision": 0.5, "format": 1.0}),
        ("three-rewards", {"accuracy": 1.0, "visual_precision": 0.5, "localizability": 0.2, "format": 1.0}),
    ],
)
def test_grpo_is_the_papers_with_its_rewards_and_weights(
    parsed: dict[str, Any], model: str, name: str, weights: dict[str, float]
) -> None:
    recipe = f"{model}-{name}"
    found = values(parsed, "grpo", recipe)
    assert dict(zip(found["reward_funcs"], found["reward_weights"], strict=True)) == weights
    assert (found["num_generations"], found["temperature"], found["beta"]) == (16, 1.0, 0.001)
    assert (found["loss_type"], found["scale_rewards"], found["epsilon"], found["epsilon_high"]) == ("grpo", "group", 0.2, None)
    assert (found["learning_rate"], found["num_train_epochs"], found["tuner_type"]) == (1e-6, 1, "full")
    assert (found["use_vllm"], found["vllm_mode"]) == (True, "colocate")
    assert found["vllm_max_model_len"] >= found["max_length"] + found["max_completion_length"]
    assert found["vllm_limit_mm_per_prompt"] == {"image": 1, "video": 0}
    assert batch(found, "grpo", recipe) == 8 * found["num_generations"]
    assert found["ref_model"] == found["model"]  # the KL term's reference


@pytest.mark.parametrize("model", ["qwen2.5-vl-7b", "internvl3-8b"])
def test_our_own_recipe_is_what_ms_swift_will_do(parsed: dict[str, Any], model: str) -> None:
    recipe = f"{model}-distance"
    found = values(parsed, "grpo", recipe)
    assert dict(zip(found["reward_funcs"], found["reward_weights"], strict=True)) == {
        "distance": 1.0,
        "visual_precision": 0.5,
        "format": 1.0,
    }
    assert batch(found, "grpo", recipe) == 32 * found["num_generations"] == 512
    assert {name: found[name] for name in OURS} == OURS
    assert found["ref_model"] is None  # beta 0: no model of its own for the KL term
    assert recipe_of("grpo", recipe).environment == {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


@pytest.mark.parametrize("name", ["1x80gb-lora", "1x24gb-3b"])
@pytest.mark.parametrize("stage", STAGES)
def test_on_one_card_adapters_are_trained_by_one_process(parsed: dict[str, Any], stage: str, name: str) -> None:
    found = values(parsed, stage, name)
    recipe = recipe_of(stage, name)
    assert (found["tuner_type"], recipe.nproc_per_node, found["deepspeed"]) == ("lora", 1, None)
    assert recipe.max_pixels // PIXELS_A_TOKEN < recipe.max_length
    if stage == "grpo":
        assert (found["sleep_level"], found["ref_model"]) == (1, None)
        assert any(plugin.endswith("swift_adapters.py") for plugin in found["external_plugins"])


@pytest.mark.parametrize(("stage", "name"), [pair for pair in NAMES if recipe_of(*pair).tuner_type == "full"])
def test_full_fine_tuning_shares_the_optimiser_out_with_a_configuration_that_ms_swift_has(stage: str, name: str) -> None:
    swift = importlib.util.find_spec("swift")
    if swift is None or swift.origin is None:
        pytest.skip("needs the train extra")
    deepspeed = recipe_of(stage, name).deepspeed
    config = json.loads((Path(swift.origin).parent / "config" / f"{deepspeed}.json").read_text())
    assert config["zero_optimization"]["stage"] == 3


def batch(found: dict[str, Any], stage: str, name: str) -> int:
    """Rows, or completions, of an optimiser's step on all GPUs."""
    processes = recipe_of(stage, name).nproc_per_node
    return int(found["per_device_train_batch_size"]) * int(found["gradient_accumulation_steps"]) * processes
