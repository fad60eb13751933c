"""What a step of each training stage takes on the GPU that is here, beside what the plan says.

``python tests/gpu/measure_training.py [--shape qwen2.5-vl-3b --shape qwen2.5-vl-7b] [--json PATH]``; see README.md beside it.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "components"), str(Path(__file__).parent)]

import random_model  # noqa: E402 - beside this file
from runs import ATTENTIONS, STAGES, Machine, measure, server_smoke  # noqa: E402
from sizes import sizes_for  # noqa: E402
from tower import tower_figures  # noqa: E402

PEAK_TFLOP_PER_S = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "A10": 125.0, "L40S": 362.0, "L4": 121.0}
"""bfloat16 without sparsity, by NVIDIA's data sheets (SXM where there are two)."""


def main() -> None:
    """Measures, prints a table, and writes JSON."""
    asked = _asked()
    machine = _machine(asked)
    report: dict[str, Any] = {"machine": machine.kind, "memory_gb": machine.memory_gb, "shapes": {}}
    for shape in asked.shape:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            report["shapes"][shape] = _measured(shape, Path(folder), machine, asked)
        if asked.json:  # after each shape: what was measured is kept if the next one fails
            Path(asked.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(table(report))


def _measured(shape: str, folder: Path, machine: Machine, asked: argparse.Namespace) -> dict[str, Any]:
    sizes = sizes_for(shape)
    model = folder / "model"
    random_model.build(shape, model, sizes.max_pixels, sizes.dtype, machine.device)
    found: dict[str, Any] = {"tower": tower_figures(model, shape, machine.device), "stages": []}
    for stage in asked.stage:
        for attention in asked.attention:
            started = time.monotonic()
            figures = measure(stage, attention, shape, model, folder / f"{stage}-{attention}", machine, asked.steps)
            shutil.rmtree(folder / f"{stage}-{attention}")  # a checkpoint of 7B has 45 GB
            found["stages"].append(figures)
            print(f"{shape} {stage} {attention}: {time.monotonic() - started:.0f} s in all", file=sys.stderr)
    if machine.gpus > 1 and "grpo" in asked.stage:
        found["server_mode"] = server_smoke(shape, model, folder / "server", machine, asked.steps)
    return found


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"{report['machine']}, {report['memory_gb']:.0f} GB"]
    for shape, found in report["shapes"].items():
        lines += ["", shape, f"{'stage':14}{'windows':9}{'s/step':>9}{'tokens/s':>10}{'peak GB':>9}{'MFU':>7}   plan: s/step, GB"]
        for run in found["stages"]:
            planned = "-" if not run["plan"]["step_s"] else "{:.1f} to {:.1f}".format(*run["plan"]["step_s"])
            mfu = "-" if run["mfu"] is None else f"{run['mfu']:.1%}"
            lines.append(
                f"{run['stage']:14}{run['attention']:9}{run['step_s']:9.2f}{run['tokens_per_s']:10.0f}{run['peak_gb']:9.2f}{mfu:>7}"
                f"   {planned}, {run['plan']['memory_gb']:.2f} ({run['tuner']})"
            )
        for size in found["tower"]:
            seconds = ", ".join(f"{name} {'-' if s is None else f'{1000 * s:.1f} ms'}" for name, s in size["seconds"].items())
            lines.append(f"vision tower, {size['pictures']} pictures, {size['image_tokens']} tokens: {seconds}")
    return "\n".join(lines)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", action="append", help="shape of a model, more than once for several; default: 3B and 7B")
    parser.add_argument("--stage", action="append", choices=STAGES, help="default: all")
    parser.add_argument("--attention", action="append", choices=ATTENTIONS, help="of the vision tower; default: both")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument(
        "--steps", type=int, default=20, help="of each training, the warm-up among them; 20 also try vLLM's rollouts"
    )
    parser.add_argument("--peak-tflops", type=float, help="of this device, for the model-flops use; default: by its name")
    parser.add_argument("--json", help="file to write")
    parser.add_argument("--folder", help="where models and checkpoints go meanwhile, 70 GB for 7B; default: the temporary folder")
    asked = parser.parse_args()
    asked.shape = asked.shape or ["qwen2.5-vl-3b", "qwen2.5-vl-7b"]
    asked.stage = asked.stage or list(STAGES)
    asked.attention = asked.attention or list(ATTENTIONS)
    if asked.steps < 3:
        parser.error("--steps: give 3 or more; the first has no time, and the second is the warm-up")
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU; `--shape tiny --device cpu` tries the same on a CPU")
    return asked


def _machine(asked: argparse.Namespace) -> Machine:
    if asked.device == "cpu":
        return Machine("cpu", "CPU", 0, 0.0, asked.peak_tflops)
    name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
    words = name.replace("-", " ").split()
    peak = next((value for kind, value in PEAK_TFLOP_PER_S.items() if kind in words), None)
    return Machine("cuda", name, torch.cuda.device_count(), memory / 1e9, asked.peak_tflops or peak)


if __name__ == "__main__":
    main()
