"""A rollout never holds a token that stands for a picture, whichever engine samples it."""

import os
import subprocess
import sys

import pytest

from globe.training.grpo_arguments import PLUGINS

pytest.importorskip("swift", reason="needs the train extra")

SAMPLE = """
import sys
import torch
from PIL import Image
from swift.utils import import_external_file
for plugin in sys.argv[2:]:
    import_external_file(plugin)
import swift
from swift.infer_engine import InferRequest, RequestConfig, TransformersEngine

model, processor = swift.get_model_processor(sys.argv[1], model_type="qwen2_5_vl")
template = swift.get_template(processor, template_type="qwen2_5_vl")
wanted = processor.tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"])
with torch.no_grad():  # whatever the model thinks, one of the two is by far the likeliest
    model.lm_head.weight.zero_()
    model.lm_head.weight[wanted] = torch.tensor([[1.0], [-1.0]]).expand(2, model.lm_head.weight.shape[1]) * 100
model.generation_config.suppress_tokens = None
engine = TransformersEngine(model, template=template)
picture = Image.new("RGB", (56, 56))
request = InferRequest([{"role": "user", "content": "red roofs"}])
(response,) = engine.infer([request], RequestConfig(max_tokens=20, temperature=1.0, top_k=-1, return_details=True))
print("sampled", len(set(response.choices[0].token_ids) & set(wanted)))
"""

ASK_VLLM = """
import sys
from types import SimpleNamespace
from swift.utils import import_external_file
import_external_file(sys.argv[1])
from swift.infer_engine import InferEngine, RequestConfig, VllmEngine

engine = VllmEngine.__new__(VllmEngine)
info = SimpleNamespace(model_dir="", model_name="", max_model_len=9, task_type="", config=None)
processor = SimpleNamespace(model_info=info, model_meta=None)
template = SimpleNamespace(processor=processor, template_meta=SimpleNamespace(template_type=""), placeholder_tokens=[7, 8])
InferEngine.__init__(engine, template)
engine.generation_config = SimpleNamespace(min_p=0.0, repetition_penalty=1.0)
asked = engine._prepare_generation_config(RequestConfig(max_tokens=3, temperature=1.0, top_p=1.0, top_k=-1))
print("bias", asked.logit_bias)
"""


def said(script: str, *arguments: str) -> str:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "USE_HF": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("plugins", [[], PLUGINS[:1]], ids=["as it comes", "with the plugin"])
def test_a_model_that_wants_to_write_pictures_cannot(tiny_model, plugins):
    """The first case is the defect: it shows that ms-swift would sample them."""
    assert ("sampled 0" in said(SAMPLE, str(tiny_model), *plugins)) is bool(plugins)


def test_vllm_is_told_with_each_request():
    pytest.importorskip("vllm", reason="needs the serve extra")
    assert "bias {7: -100.0, 8: -100.0}" in said(ASK_VLLM, PLUGINS[0])
