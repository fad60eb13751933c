"""The measuring script runs all stages, counts right, and finds the two attentions alike."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_on_a_cpu_every_stage_is_measured_and_its_work_counted(tmp_path):
    options = ["--shape", "tiny", "--device", "cpu", "--steps", str(STEPS), "--peak-tflops", "0.1"]
    found = measured(tmp_path, *options)["shapes"]["tiny"]
    runs = {(run["stage"], run["attention"]): run for run in found["stages"]}
    assert set(runs) == {(stage, way) for stage in ("sft", "reward_model", "grpo") for way in ("stock", "batched")}
    for run in runs.values():
        work = run["a_step"]
        assert run["steps"] == STEPS
        assert work["sequences"] == SEQUENCES
        assert work["image_tokens"] == SEQUENCES * PICTURE_TOKENS
        assert work["image_tokens"] < work["tokens"] <= work["padded"]
        assert run["tokens_per_s"] == pytest.approx(work["tokens"] / run["step_s"])
        assert run["mfu"] == pytest.approx(run["model_tflop_a_step"] / run["step_s"] / 0.1)
        assert run["peak_gb"] > run["plan"]["memory_gb"] > 0  # the process holds more than the training
    for stage in ("sft", "reward_model"):
        assert len(runs[stage, "stock"]["losses"]) == STEPS
        assert runs[stage, "batched"]["losses"] == pytest.approx(runs[stage, "stock"]["losses"], rel=1e-4)
    for size in found["tower"]:
        assert size["seconds"]["by_kernel"] is None
        assert max(size["difference"].values()) < 1e-5


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
