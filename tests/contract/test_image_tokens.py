"""A picture has the same number of visual tokens in training, by ms-swift's own template, and in serving, by vLLM's own count.

Each is asked in a process of its own, with what the stages give them: the environment of a training, the arguments of a server.
The demo's model stands for the real one: it has the same processor, and tokens depend on the picture's size alone.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from globe.recipes.load import load_recipe
from globe.serving.arguments import vllm_arguments
from globe.serving.recipe import ServingRecipe
from globe.training.arguments import PLUGINS, common_arguments
from globe.training.recipe import SftRecipe
from globe.training.swift import environment_of

SIZES = [(1000, 1000), (4000, 3000), (1023, 1536), (1536, 1024), (1003, 1001), (500, 375), (90, 60), (56, 56), (30, 30)]
TRAINING = """
import json, sys
from PIL import Image
from swift.model import get_processor
from swift.template import get_template
from swift.utils import import_external_file

asked = json.load(sys.stdin)
for plugin in asked["plugins"]:
    import_external_file(plugin)
given = {"max_pixels": asked["arguments"]["max_pixels"]} if "max_pixels" in asked["arguments"] else {}
processor = get_processor(asked["model"], model_type=asked["arguments"]["model_type"])
template = get_template(processor, template_type=asked["arguments"]["template"], **given)
template.set_mode("train")
counts = []
for size in asked["sizes"]:
    messages = [{"role": "user", "content": "<image>where?"}, {"role": "assistant", "content": "there"}]
    row = template.encode({"messages": messages, "images": [Image.new("RGB", size)]})
    counts.append(row["input_ids"].count(template.image_token_id))
print("\\n@@" + json.dumps(counts))
"""
SERVING = """
import json, sys
from transformers import AutoTokenizer
from vllm.config import ModelConfig
from vllm.model_executor.models.qwen2_5_vl import Qwen2_5_VLProcessingInfo
from vllm.multimodal.processing import InputProcessingContext

asked = json.load(sys.stdin)
config = ModelConfig(asked["model"], mm_processor_kwargs=asked["mm_processor_kwargs"], dtype="float32")
info = Qwen2_5_VLProcessingInfo(InputProcessingContext(config, AutoTokenizer.from_pretrained(asked["model"])))
processor = info.get_image_processor()
print("\\n@@" + json.dumps([
    info.get_num_image_tokens(image_width=width, image_height=height, image_processor=processor, mm_kwargs={})
    for width, height in asked["sizes"]
]))
"""


def answer(code: str, asked: dict[str, Any], environment: dict[str, str], folder: Path) -> list[int]:
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "USE_HF": "1", "OMP_NUM_THREADS": "1"}
    child = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(asked), capture_output=True, text=True, env=os.environ | offline | environment, cwd=folder, timeout=540,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-2000:]
    found: list[int] = json.loads(child.stdout.rpartition("\n@@")[2])
    return found


@pytest.mark.parametrize(
    ("training", "serving", "most"),
    [("qwen2.5-vl-7b", "gpu", 1280), ("demo", "demo", 4)],
)
def test_training_and_serving_see_the_same_number_of_tokens(tiny_model, tmp_path, training, serving, most):
    pytest.importorskip("swift", reason="needs the train extra")
    pytest.importorskip("vllm", reason="needs the serve extra")
    recipe = load_recipe(SftRecipe, "sft", training)
    server = vllm_arguments(tiny_model, "m", "127.0.0.1", 1, load_recipe(ServingRecipe, "serving", serving))
    asked = {"model": str(tiny_model), "sizes": SIZES}
    arguments = common_arguments(recipe, tiny_model, tmp_path, tmp_path)
    known = {name: arguments[name] for name in ("model_type", "template", "max_pixels") if name in arguments}
    trained = answer(TRAINING, {**asked, "plugins": PLUGINS, "arguments": known}, environment_of(recipe), tmp_path)
    limits = json.loads(server[server.index("--mm-processor-kwargs") + 1])
    served = answer(SERVING, {**asked, "mm_processor_kwargs": limits}, {}, tmp_path)
    assert trained == served
    assert max(trained) <= most
    assert trained[SIZES.index((56, 56))] == 4
