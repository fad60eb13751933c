"""Plans against what training takes: the tiny model's memory and steps on the CPU, in ms-swift's own training.

``python tests/benchmarks/bench_plan.py [--json]``; some minutes.

Each stage trains in a process of its own, with the arguments that the stage gives ms-swift, under torch's profiler. What is
compared is the most that torch's CPU allocator held at once: weights, gradients, Adam's moments, activations, logits, and what
else tensors take. The process's own size is no measure: Python and its libraries are a hundred times the model. Steps are those
that ms-swift logs in the end. Planned is what `globe.training.plan` says for the same rows.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from globe.data.rows import Row
from globe.data.shards import read_dataset, write_dataset
from globe.demo.places import all_cities
from globe.demo.tiny_model import build_tiny_model, demo_texts
from globe.recipes.load import load_recipe
from globe.training import rows as shapes
from globe.training.arguments import reward_model_arguments, sft_arguments
from globe.training.grpo_arguments import grpo_arguments
from globe.training.plan import plan
from globe.training.plan_by_hand import KINDS
from globe.training.plan_rows import longest_of
from globe.training.recipe import TrainRecipe
from globe.training.shapes import model_shape
from globe.training.swift import environment_of, outer_environment

ROWS = 200
BATCHES: dict[str, dict[str, Any]] = {
    "sft": {"per_device_train_batch_size": 32, "num_train_epochs": 8},
    "reward_model": {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 2},
    "grpo": {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 8},  # a whole rollout is sampled at once
}
ROW_SHAPES = {"sft": shapes.answer_row, "reward_model": shapes.verdict_row, "grpo": shapes.prompt_row}
WITHIN = 0.15
"""How far plan and measurement may be apart."""
CHILD = "--measured"


def main() -> None:
    """Measures each stage; ends with 1 if a plan is further off than it may be."""
    with tempfile.TemporaryDirectory() as folder:
        figures = {key: value for stage in KINDS for key, value in compared(stage, Path(folder)).items()}
    if "--json" in sys.argv:
        print(json.dumps({"name": "plan", "figures": figures}))
    else:
        for key, value in figures.items():
            print(f"{key:<32} {value:>10}")
    off = [key for key, value in figures.items() if key.endswith("planned_over_measured") and abs(value - 1) > WITHIN]
    sys.exit(f"off by more than {WITHIN:.0%}: {', '.join(off)}" if off else 0)


def compared(stage: str, folder: Path) -> dict[str, float]:
    """Memory and steps of a stage, planned and measured."""
    model, data = folder / "model", folder / shapes.SETS[stage]
    if not model.exists():
        build_tiny_model(model, demo_texts())
    write_dataset(data, some_rows())
    one_epoch = {"max_steps": -1, "num_train_epochs": 1, "save_steps": 10_000}
    recipe = load_recipe(KINDS[stage], stage, "demo", one_epoch | BATCHES[stage])
    shape = model_shape(str(model))
    lengths = longest_of(recipe, shape, data, model / "tokenizer.json")
    planned = plan(stage, recipe, shape, rows=ROWS, lengths=lengths)
    # Sampled from random weights, a completion may be empty, which ends ms-swift.
    start = next((folder / "sft" / "swift").glob("checkpoint-*")) if stage == "grpo" else model
    measured = trained(stage, recipe, start, data, folder / stage)
    planned_mb, measured_mb = planned.memory_gb_per_gpu["total"] * 1000, measured["bytes"] / 1e6
    return {
        f"{stage}_planned_mb": round(planned_mb, 1),
        f"{stage}_measured_mb": round(measured_mb, 1),
        f"{stage}_memory_planned_over_measured": round(planned_mb / measured_mb, 3),
        f"{stage}_planned_steps": planned.steps or 0,
        f"{stage}_measured_steps": measured["steps"],
        f"{stage}_steps_planned_over_measured": round((planned.steps or 0) / measured["steps"], 3),
    }


def some_rows() -> list[Row]:
    """Rows of the demo's cities with pictures of noise."""
    noise, cities = np.random.default_rng(0), list(all_cities())

    def row(number: int) -> Row:
        city, picture = cities[number % len(cities)], io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (56, 56, 3), dtype=np.uint8)).save(picture, "PNG")
        place = {"country": city.country, "city": city.name, "reasoning": city.reasoning, "lat_deg": 0.0, "lon_deg": 0.0}
        return Row(id=str(number), image=picture.getvalue(), split="train", localizable=bool(number % 2), **place)

    return [row(number) for number in range(ROWS)]


def trained(stage: str, recipe: TrainRecipe, model: Path, data: Path, folder: Path) -> dict[str, int]:
    """Train in a process of its own; its steps, and the most bytes that torch held at once."""
    lines = folder / "train.jsonl"
    shapes.export(((row, ROW_SHAPES[stage]) for row in read_dataset(data)), lines, folder / "pictures")
    given: Any = (recipe, model, lines, folder / "swift")
    if stage == "grpo":
        command, arguments = "rlhf", grpo_arguments(*given, recipe.weights(judged=False))  # type: ignore[attr-defined]
    else:
        command, arguments = "sft", (sft_arguments if stage == "sft" else reward_model_arguments)(*given)
    asked, result = folder / "arguments.json", folder / "measured.json"
    asked.write_text(json.dumps(arguments))
    with (folder / "log").open("w") as log:
        argv = [sys.executable, __file__, CHILD, command, str(asked), str(result)]
        done = subprocess.run(argv, env=outer_environment() | environment_of(recipe), stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{stage}: ms-swift ended with {done.returncode}\n{(folder / 'log').read_text()[-3000:]}")
    logged = [json.loads(line) for line in (folder / "swift" / "logging.jsonl").read_text().splitlines()]
    steps = max(
        int(str(values["global_step/max_steps"]).partition("/")[0]) for values in logged if "global_step/max_steps" in values
    )
    return {"steps": steps, "bytes": json.loads(result.read_text())["bytes"]}


def measure(command: str, asked: str, result: str) -> None:
    """In the child: run ms-swift under torch's profiler, and write down the most bytes that its CPU allocator held."""
    from swift.pipelines import rlhf_main, sft_main
    from torch.profiler import ProfilerActivity, profile

    argv = []
    for name, value in json.loads(Path(asked).read_text()).items():
        argv.append(f"--{name}")
        argv += [
            str(item).lower() if isinstance(item, bool) else str(item) for item in (value if isinstance(value, list) else [value])
        ]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        (sft_main if command == "sft" else rlhf_main)(argv)
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    Path(result).write_text(json.dumps({"bytes": most}))


if __name__ == "__main__":
    if CHILD in sys.argv:
        measure(*sys.argv[2:])
    else:
        main()
