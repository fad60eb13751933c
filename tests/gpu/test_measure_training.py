"""The measuring script runs all stages, counts right, and finds the two attentions alike."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from globe.answer.prompt import PROMPT

SCRIPT = Path(__file__).with_name("measure_training.py")
PICTURE_TOKENS = 6 * 4
"""168 x 112 pixels, of which 28 x 28 make one."""
STEPS, SEQUENCES, COMPLETION = 3, 8, 8


def measured(folder: Path, *options: str) -> dict:
    report = folder / "report.json"
    command = [sys.executable, str(SCRIPT), "--json", str(report), "--folder", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(report.read_text())


def on_a_cpu(folder: Path, *options: str) -> dict:
    given = ["--shape", "tiny", "--device", "cpu", "--steps", str(STEPS), "--peak-tflops", "0.1"]
    return measured(folder, *given, *options)["shapes"]["tiny"]


def assert_counted(run: dict) -> None:
    work = run["a_step"]
    assert run["steps"] == STEPS
    assert work["sequences"] == SEQUENCES
    assert work["image_tokens"] == SEQUENCES * PICTURE_TOKENS
    assert work["image_tokens"] < work["tokens"] <= work["padded"]
    assert run["tokens_per_s"] == pytest.approx(work["tokens"] / run["step_s"])
    assert run["mfu"] == pytest.approx(run["model_tflop_a_step"] / run["step_s"] / 0.1)
    assert run["peak_gb"] > run["plan"]["memory_gb"] > 0  # the process holds more than the training


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_on_a_cpu_a_training_is_measured_and_goes_the_same_way_with_either_attention(tmp_path):
    found = on_a_cpu(tmp_path, "--stage", "sft")
    stock, batched = found["stages"]
    assert (stock["attention"], batched["attention"]) == ("stock", "batched")
    assert_counted(stock)
    assert_counted(batched)
    assert stock["a_step"] == batched["a_step"]
    assert len(stock["losses"]) == STEPS
    assert batched["losses"] == pytest.approx(stock["losses"], rel=1e-4)
    for size in found["tower"]:
        assert size["seconds"]["by_kernel"] is None
        assert max(size["difference"].values()) < 1e-5


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_on_a_cpu_the_other_stages_are_measured_and_completions_have_the_length_that_was_asked_for(tmp_path, tiny_model):
    options = ["--stage", "reward_model", "--stage", "grpo", "--attention", "batched"]
    judged, rolled = on_a_cpu(tmp_path, *options)["stages"]
    assert_counted(judged)
    assert_counted(rolled)
    assert rolled["a_step"]["tokens"] == SEQUENCES * (prompt_tokens(tiny_model) + COMPLETION)


def prompt_tokens(model: Path) -> int:
    """Tokens of GRPO's question and picture, by the model's own processor, which would scale the picture to four tokens."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(model)
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}]
    text = processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    asked = processor(text=[text], images=[Image.new("RGB", (56, 56))])["input_ids"][0]
    return len(asked) - 4 + PICTURE_TOKENS


@pytest.mark.gpu
@pytest.mark.timeout(3600)
def test_on_a_gpu_a_step_stays_within_the_cards_memory_and_peak(tmp_path):
    report = measured(tmp_path, "--shape", "qwen2.5-vl-3b")
    (found,) = report["shapes"].values()
    for run in found["stages"]:
        assert run["steps"] == 20
        assert 0 < run["peak_gb"] <= report["memory_gb"]
        assert run["mfu"] is None or 0 < run["mfu"] < 1
    for size in found["tower"]:
        assert max(size["difference"].values()) < 0.05  # bfloat16
