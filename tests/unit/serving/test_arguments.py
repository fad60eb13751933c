"""vLLM's command line: safe whatever the recipe. (That vLLM understands it, the end-to-end run shows.)"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from globe.recipes.load import load_recipe
from globe.serving.arguments import NO_DOMAIN, SAFE_ENVIRONMENT, vllm_arguments, vllm_environment
from globe.serving.recipe import ServingRecipe


def arguments(name: str) -> list[str]:
    return vllm_arguments(Path("/m"), "globe", "127.0.0.1", 1234, load_recipe(ServingRecipe, "serving", name))


@pytest.mark.parametrize("name", ["demo", "gpu"])
def test_a_server_never_fetches_pictures_for_anybody(name):
    argv = arguments(name)
    assert argv[argv.index("--allowed-media-domains") + 1] == NO_DOMAIN
    assert SAFE_ENVIRONMENT["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"


@pytest.mark.parametrize("name", ["demo", "gpu", "globe-internvl3-8b"])
def test_a_server_runs_no_code_that_comes_with_a_model(name):
    """vLLM does not unless it is told to, on its command line or by its own default."""
    assert not [argument for argument in arguments(name) if "trust" in argument or argument in ("--config", "--hf-overrides")]
    vllm = find_spec("vllm")
    if not vllm or not vllm.submodule_search_locations:
        pytest.skip("needs the serve extra")
    source = Path(vllm.submodule_search_locations[0], "config", "model.py").read_text()
    assert "    trust_remote_code: bool = False\n" in source


@pytest.mark.parametrize("name", ["demo", "gpu"])
def test_sampling_is_never_taken_from_a_file_beside_the_weights(name):
    argv = arguments(name)
    assert argv[argv.index("--generation-config") + 1] == "vllm"


def test_a_fixed_cache_and_a_share_of_the_gpu_exclude_each_other():
    assert "--gpu-memory-utilization" not in arguments("demo")
    assert "--kv-cache-memory-bytes" not in arguments("gpu")


def test_a_prompt_is_worked_off_in_one_where_parts_would_end_the_server():
    assert "--no-enable-chunked-prefill" in arguments("demo")
    assert "--no-enable-chunked-prefill" not in arguments("gpu")


def test_a_server_without_compilation_needs_no_compiler():
    assert vllm_environment(ServingRecipe(enforce_eager=True))["TORCH_COMPILE_DISABLE"] == "1"
    assert "TORCH_COMPILE_DISABLE" not in vllm_environment(ServingRecipe())


@pytest.mark.parametrize("safe", [False, True], ids=["as it comes", "as we start it"])
def test_what_vllm_starts_imports_nothing_from_the_folder_that_it_is_started_in(tmp_path, safe):
    (tmp_path / "json.py").write_text("open('marker', 'w')")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    if safe:
        environment |= vllm_environment(load_recipe(ServingRecipe, "serving", "demo"))
    subprocess.run([sys.executable, "-m", "json.tool"], cwd=tmp_path, env=environment, capture_output=True, input=b"")
    assert (tmp_path / "marker").exists() is not safe


def test_vllm_knows_every_variable_that_it_is_told():
    envs = pytest.importorskip("vllm.envs", reason="needs the serve extra")
    assert {name for name in SAFE_ENVIRONMENT if name.startswith("VLLM_")} <= envs.environment_variables.keys()
