"""One measured training: ms-swift as a stage starts it, with a callback that takes each step's time."""

import json
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from time import monotonic
from typing import Any

from photos import photos
from sizes import recipe_for, sizes_for

from globe.data.shards import write_dataset
from globe.models.checkpoints import read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.training import rows as shapes
from globe.training.arguments import reward_model_arguments, sft_arguments
from globe.training.grpo import grpo
from globe.training.grpo_arguments import grpo_arguments
from globe.training.lengths import Lengths, prompt_tokens
from globe.training.plan import Plan, plan
from globe.training.recipe import TrainRecipe
from globe.training.runs import ignored
from globe.training.shapes import ModelShape, model_shape
from globe.training.swift import train
from globe.training.throughput import CARDS, tflop_a_sequence

STAGES = ("sft", "reward_model", "grpo")
ATTENTIONS = ("stock", "batched")
ROWS = {"sft": shapes.answer_row, "reward_model": shapes.verdict_row, "grpo": shapes.prompt_row}
PLUGIN = Path(__file__).with_name("swift_measure.py")
GIB = 1.073741824


@dataclass(frozen=True)
class Machine:
    """What is measured on."""

    device: str
    kind: str
    """Name of the GPU."""
    gpus: int
    memory_gb: float
    """Of one GPU, decimal."""
    peak_tflop_per_s: float | None

    @property
    def card(self) -> tuple[str, ...]:
        """What the plan calls it."""
        words = self.kind.replace("-", " ").split()
        return tuple(kind for kind in CARDS if kind in words)


def measure(stage: str, attention: str, shape: str, model: Path, folder: Path, machine: Machine, steps: int) -> dict[str, Any]:
    """Train for some steps.

    Args:
        stage: One of `STAGES`.
        attention: One of `ATTENTIONS`.
        shape: The model's shape by name.
        model: Its folder.
        folder: Where the training works.
        machine: What it runs on.
        steps: How many.

    Returns:
        What a step took, what it had to do, and what the plan says of both.
    """
    sizes, on_gpu = sizes_for(shape), machine.device == "cuda"
    known = model_shape(shape) if shape != "tiny" else model_shape(str(model))
    chosen = partial(recipe_for, stage, sizes, attention, steps, vllm=on_gpu and stage == "grpo")
    recipe = chosen(adapters=False)
    expect = partial(_planned, stage, shape=known, machine=machine)
    if stage == "grpo" or not expect(recipe).fits:  # full fine-tuning where one card holds it
        recipe = chosen(adapters=True)
    rows = ((row, ROWS[stage]) for row in photos(recipe.global_batch * steps, sizes.width, sizes.height))
    shapes.export(rows, folder / "data" / "train.jsonl", folder / "data" / "pictures")
    lines = _trained(stage, recipe, model, folder, on_gpu=on_gpu)
    each = lines[1:]  # the first has no time
    timed = each[max(1, len(each) // 4) :] if len(each) > 1 else each
    step_s = median(line["seconds"] for line in timed)
    counts = {name: mean(line[name] for line in timed) for name in ("sequences", "tokens", "padded", "image_tokens")}
    image, total = (round(counts[name] / counts["sequences"]) for name in ("image_tokens", "tokens"))
    asked = min(prompt_tokens(recipe), total - image)
    lengths = Lengths(image, asked, total - image - asked)
    work = tflop_a_sequence(recipe.model_copy(update={"gradient_checkpointing": False}), known, lengths) * counts["sequences"]
    planned = expect(recipe, lengths=lengths)
    return {
        "stage": stage,
        "attention": attention,
        "tuner": recipe.tuner_type,
        "steps": len(lines),
        "step_s": step_s,
        "tokens_per_s": counts["tokens"] / step_s,
        "peak_gb": max(line["peak_gb"] for line in lines),
        "device_gb": max(line["device_gb"] for line in lines),
        "model_tflop_a_step": work,
        "mfu": work / step_s / machine.peak_tflop_per_s if machine.peak_tflop_per_s else None,
        "a_step": counts,
        "losses": _losses(folder / "swift"),
        "plan": {"step_s": planned.step_s, "memory_gb": planned.memory_gb_per_gpu["total"], "fits": planned.fits},
    }


def _planned(stage: str, recipe: TrainRecipe, shape: ModelShape, machine: Machine, lengths: Lengths | None = None) -> Plan:
    gpus, memory = min(1, machine.gpus), machine.memory_gb / GIB
    if not machine.gpus:  # as it is started there
        recipe = recipe.model_copy(update={"environment": recipe.environment | {"CUDA_VISIBLE_DEVICES": ""}})
    return plan(stage, recipe, shape, gpus=gpus, gpu_memory_gb=memory, lengths=lengths, kinds=machine.card)


def _trained(stage: str, recipe: TrainRecipe, model: Path, folder: Path, *, on_gpu: bool) -> list[dict[str, Any]]:
    given = (recipe, model, folder / "data" / "train.jsonl", folder / "swift")
    if stage == "grpo":
        arguments = grpo_arguments(*given, recipe.weights(judged=False))
    else:
        arguments = (sft_arguments if stage == "sft" else reward_model_arguments)(*given)
    arguments["external_plugins"] = [*arguments["external_plugins"], str(PLUGIN)]
    arguments["callbacks"] = [*arguments["callbacks"], "globe_measure"]
    measured = folder / "steps.jsonl"
    environment = recipe.environment | {"GLOBE_MEASURE": str(measured)} | ({} if on_gpu else {"CUDA_VISIBLE_DEVICES": ""})
    here = recipe.model_copy(update={"environment": environment})
    train("rlhf" if stage == "grpo" else "sft", arguments, here, folder / "log.txt", ignored)
    return [json.loads(line) for line in measured.read_text().splitlines()]


def _losses(output: Path) -> list[float]:
    logged = (json.loads(line) for line in (output / "logging.jsonl").read_text().splitlines())
    return [values["loss"] for values in logged if "loss" in values]


def server_smoke(shape: str, model: Path, folder: Path, machine: Machine, steps: int) -> dict[str, Any]:
    """GRPO by its stage on two GPUs, of which the rollout engine has one (on a CPU the trainer samples itself).

    Args:
        shape: As in `measure`; so are the others.
        model: See there.
        folder: See there.
        machine: See there.
        steps: See there.
    """
    sizes, vllm = sizes_for(shape), machine.device == "cuda"
    apart = {"vllm_mode": "server", "rollout_gpus": 1, "async_generate": True, "sleep_level": 0} if vllm else {}
    recipe = recipe_for("grpo", sizes, "batched", steps, adapters=True, vllm=vllm, **apart)
    write_dataset(folder / "data" / "pool", photos(recipe.global_batch * steps, sizes.width, sizes.height))
    publish_checkpoint(model, base_model=shape, recipe="", parent="", step=0)
    ends: list[float] = []
    result = grpo(
        policy=read_checkpoint(model),
        data=folder / "data",
        judge=None,
        reward_url="",
        recipe_name="measured",
        recipe=recipe,
        store=folder / "store",
        gpus=2 if vllm else 0,
        on_step=lambda step, steps, values: ends.append(monotonic()),
    )
    waits = [later - earlier for earlier, later in pairwise(ends)]
    return {"steps": result.outcome.figures["steps"], "step_s": median(waits) if waits else None}
