"""ms-swift runs the code of any model's folder; with the plugin it runs none, and loads the model all the same."""

import os
import subprocess
import sys

import pytest
from model_folders import with_code

from globe.training.swift import PLUGINS

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
