"""What a training is expected to take, as far as that is known before it runs: steps, seconds a step, GPU-hours.

A small model of the cost, and nothing in it has been measured by us. Compute-bound training: passes x 2 x parameters x tokens a
sequence, at the rate that such trainings reach (A100 140, H100 375 TFLOP/s). Full fine-tuning with gradient checkpointing makes
four passes (forward, again forward, backward for inputs and for weights), LoRA three. GRPO also generates, which memory bounds:
its seconds a step were derived once, for the shape of the published recipe, and other shapes are not known. A photo's tokens
depend on its size, so everything is a range: from photos of 500 px (240 tokens) to the recipe's largest.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from globe import storage
from globe.data.shards import MANIFEST_NAME, Manifest
from globe.errors import GlobeError
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, TrainRecipe

TFLOP_PER_S = {"A100": 140.0, "H100": 375.0}
"""What a training reaches of a GPU's peak, by kind."""
GRPO_STEP_S = {"A100": (23.0, 70.0), "H100": (14.0, 50.0)}
"""Of GRPO with 16 completions a GPU of up to 1,024 tokens, a model of 7 to 9 billion parameters, vLLM on the same GPUs."""
GRPO_COMPLETIONS, GRPO_TOKENS, GRPO_PARAMETERS = 16, 1024, (7e9, 9e9)
SMALL_PHOTO_TOKENS = 240
TEXT_TOKENS = 450
"""Of question, reasoning and answer."""
PIXELS_A_TOKEN = 28 * 28
INDEX_FILE = "model.safetensors.index.json"
BYTES_A_PARAMETER = {"bfloat16": 2, "float16": 2, "float32": 4}
Range = tuple[float, float]


@dataclass(frozen=True)
class Expected:
    """What a stage is expected to take."""

    stage: str
    gpus: int
    rows: int | None = None
    at_most: bool = False
    """Whether these are the rows of what curation is given, of which it keeps some."""
    steps: int | None = None
    step_s: Range | None = None
    unknown: str = ""
    """What would have to be known; empty if nothing is missing."""

    @property
    def gpu_hours(self) -> Range | None:
        """GPU-hours; None if steps or their time are not known."""
        if self.steps is None or self.step_s is None:
            return None
        return self.step_s[0] * self.steps * self.gpus / 3600, self.step_s[1] * self.steps * self.gpus / 3600


def expected_training(
    stage: str, recipe: TrainRecipe, gpus: int, *, rows: int | None, at_most: bool, kind: str, parameters: float | None
) -> Expected:
    """What a training stage is expected to take.

    Args:
        stage: The stage.
        recipe: Its recipe.
        gpus: GPUs that it is promised.
        rows: Rows that it trains on; None if that is not known yet.
        at_most: Whether it may also be fewer.
        kind: Kind of the GPUs, as `gpu_kind` returns it.
        parameters: The model's; None if not known.
    """
    steps, step_s, missing = steps_of(recipe, rows), _step_s(recipe, kind, parameters), []
    if steps is None:
        thousand = Expected(stage, gpus, 1000, steps=steps_of(recipe, 1000), step_s=step_s).gpu_hours
        each = f"; 1,000 of them take {range_text(*thousand)} GPU-hours" if thousand else ""
        missing.append(f"how many rows it trains on{each}")
    if step_s is None:
        reasons = [] if kind else [f"the kind of GPU ({' or '.join(TFLOP_PER_S)}, by its node label)"]
        reasons += [] if parameters else ["the model's size"]
        missing += reasons or ["the time of a step of this shape"]
    return Expected(stage, gpus, rows, at_most, steps, step_s, ", ".join(missing))


def range_text(low: float, high: float) -> str:
    """Two figures with as many digits as such an estimate deserves."""
    texts = [f"{figure:,.0f}" if figure >= 10 else f"{figure:.1f}" for figure in (low, high)]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def steps_of(recipe: TrainRecipe, rows: int | None) -> int | None:
    """Optimiser steps of a training; None if the recipe leaves them to the rows, and those are not known."""
    if recipe.max_steps > 0:
        return recipe.max_steps
    if rows is None:
        return None
    batch = recipe.global_batch
    if isinstance(recipe, GrpoRecipe):  # it counts completions
        batch = max(1, batch // recipe.num_generations)
    steps = recipe.num_train_epochs * math.ceil(rows / batch)
    return math.ceil(steps) if math.isfinite(steps) else None


def _step_s(recipe: TrainRecipe, kind: str, parameters: float | None) -> Range | None:
    if kind not in TFLOP_PER_S or not parameters:
        return None
    sequences = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps
    if isinstance(recipe, GrpoRecipe):
        fits = GRPO_PARAMETERS[0] <= parameters <= GRPO_PARAMETERS[1] and recipe.use_vllm
        fits = fits and sequences == GRPO_COMPLETIONS and recipe.max_completion_length <= GRPO_TOKENS
        return GRPO_STEP_S[kind] if fits else None
    passes = 2 + recipe.gradient_checkpointing + (not isinstance(recipe, RewardModelRecipe))
    largest = min(recipe.max_pixels / PIXELS_A_TOKEN + TEXT_TOKENS, recipe.max_length)
    smallest = min(SMALL_PHOTO_TOKENS + TEXT_TOKENS, largest)
    step_flop = sequences * passes * 2 * parameters
    return step_flop * smallest / (TFLOP_PER_S[kind] * 1e12), step_flop * largest / (TFLOP_PER_S[kind] * 1e12)


def gpu_kind(labels: Mapping[str, str]) -> str:
    """The kind of GPU that node labels choose, of those whose rate is known; empty if they do not say."""
    return next((kind for kind in TFLOP_PER_S if any(kind in str(value) for value in labels.values())), "")


def parameters_of(model: str) -> float | None:
    """How many parameters a model has, by the index of its weights; None if it has none.

    Args:
        model: Folder or s3:// URI of a Hugging Face model.
    """
    try:
        index = json.loads(storage.read_text(f"{model.rstrip('/')}/{INDEX_FILE}"))
        settings = json.loads(storage.read_text(f"{model.rstrip('/')}/config.json"))
        dtype = settings.get("torch_dtype") or settings.get("dtype") or "bfloat16"
        return float(index["metadata"]["total_size"]) / BYTES_A_PARAMETER[dtype]
    except (GlobeError, ValueError, KeyError, TypeError):
        return None


def rows_of(dataset: str) -> int | None:
    """How many rows a dataset has, without fetching it; None if this is none.

    Args:
        dataset: Folder or s3:// URI.
    """
    try:
        return Manifest.model_validate_json(storage.read_text(f"{dataset.rstrip('/')}/{MANIFEST_NAME}")).rows
    except (GlobeError, ValueError):
        return None
