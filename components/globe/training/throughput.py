"""How long a training takes: steps, seconds a step and hours, by a small model of the cost. None of it has been measured by us.

A pass forward takes 2 FLOP for each parameter and token. The language model is passed through forward, again where gradient
checkpointing recomputes it, and backward twice, for inputs and for weights (once with adapters). GRPO passes forward once more
for the old probabilities and, with a KL term, once for the reference. A GPU does this work at the rate that such trainings reach.
GRPO also generates: reading the weights once a token bounds it, for as many tokens as the longest completion has. Where a
recipe asks for it (vit_attention), the vision tower loops over its windows in Python, which takes time of its own.

A photo's tokens depend on its size, a completion's on its model, so everything is a range.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from globe.training.grpo_recipe import GrpoRecipe
from globe.training.image_tokens import SMALL_PHOTO, image_tokens
from globe.training.lengths import Lengths, typical
from globe.training.model_parts import QWEN
from globe.training.recipe import TrainRecipe
from globe.training.shapes import ModelShape

Range = tuple[float, float]


@dataclass(frozen=True)
class Card:
    """A kind of GPU."""

    tflop_per_s: float
    """What a training reaches."""
    bandwidth_tb_per_s: float
    """Of its memory, by the data sheet."""
    sizes_gb: tuple[int, ...]
    """Memory, as its name says."""


CARDS = {
    "A100": Card(140, 2.0, (40, 80)),
    "H100": Card(375, 3.35, (80,)),
    "H200": Card(375, 4.8, (141,)),  # an H100 with more memory
    "A10": Card(50, 0.6, (24,)),  # this and the next: 40% of the data sheet's peak, as an A100 reaches 45% of its own
    "L4": Card(48, 0.3, (24,)),
}
"""Rates by kind. 140 and 375 TFLOP/s are what published trainings of such models reach on A100 and H100."""
READ_SHARE = 0.8
"""Share of the bandwidth that decoding reaches."""
TOKEN_S = 0.0025
"""Beside reading the weights: sampling, scheduling, the cache."""
ROLLOUTS, SLOWER = 16, 1.3
"""With four times as many completions at once on a GPU as 16, a token takes 1.3 times as long."""
STEP_S = 4.0
"""Of a step of GRPO, for rewards, the engine's new weights and the optimiser."""
WINDOWS_S = 0.00052
"""For each image token and forward pass of Qwen's vision tower, on an A100: transformers' pull request 37363 has 1.88 s with sdpa
against 0.22 s without a loop, for 3,200 tokens."""
SHORTEST = 0.25
"""The longest completion of a step, as a share of what the recipe allows, at the least."""


def steps_of(recipe: TrainRecipe, rows: int | None) -> int | None:
    """Optimiser steps of a training; None if the recipe leaves them to the rows, and those are not known.

    As the trainer counts them: each process gets an equal share of the rows, in batches of which the last may be smaller, and a
    step takes as many batches as are accumulated (ms-swift's BatchSamplerShard, transformers' `set_initial_training_values`).
    GRPO leaves out prompts that fill no whole rollout (trl's RepeatSampler).
    """
    if recipe.max_steps > 0:
        return recipe.max_steps
    if rows is None:
        return None
    accumulated = recipe.gradient_accumulation_steps
    if isinstance(recipe, GrpoRecipe):
        batches = rows // max(1, recipe.rollout_batch // recipe.num_generations) * recipe.batches_a_rollout
    else:
        batches = math.ceil(rows // recipe.nproc_per_node / recipe.per_device_train_batch_size)
    steps = recipe.num_train_epochs * max(1, math.ceil(batches / accumulated))
    return math.ceil(steps) if math.isfinite(steps) else None


def step_range(recipe: TrainRecipe, shape: ModelShape, most: Lengths, kinds: Sequence[str]) -> Range | None:
    """Seconds a step, from photos of 500 px on the fastest card to the longest sequences on the slowest; None for unknown cards.

    Args:
        recipe: The recipe, for the GPUs that are there.
        shape: The model's shape.
        most: The longest sequence.
        kinds: Kinds of GPU that it may run on.
    """
    cards = [CARDS[kind] for kind in kinds if kind in CARDS]
    if not cards:
        return None
    small = typical(recipe, image_tokens(shape.vision, *SMALL_PHOTO, recipe.max_pixels), most)
    large = typical(recipe, most.image, most)
    low = min(_step_s(recipe, shape, small, card, at_least=True) for card in cards)
    return low, max(_step_s(recipe, shape, large, card, at_least=False) for card in cards)


def tflop_a_sequence(recipe: TrainRecipe, shape: ModelShape, lengths: Lengths) -> float:
    """10^12 floating-point operations for one sequence of a step."""
    text = 2.0 * (shape.text.parameters - (0 if shape.text.tied else shape.text.embedding)) * lengths.total
    text += 4 * shape.text.layers * shape.text.hidden * lengths.total**2 / 2
    vision = 2 * shape.vision_parameters * lengths.image * shape.vision.merge**2
    backward = 1 if recipe.tuner_type == "lora" else 2
    again = int(recipe.gradient_checkpointing)
    forward = 1 + (1 + (recipe.beta > 0) if isinstance(recipe, GrpoRecipe) else 0)
    seeing = forward + (0 if recipe.freeze_vit else again + backward)
    return ((forward + again + backward) * text + seeing * vision) / 1e12


def decode_s(recipe: GrpoRecipe, shape: ModelShape, card: Card, tokens: float) -> float:
    """Seconds to sample a step's completions, of which the longest has so many tokens."""
    engines = recipe.rollout_gpus if recipe.vllm_mode == "server" else recipe.nproc_per_node
    read = 2 * (shape.text.parameters - shape.text.embedding * (not shape.text.tied))
    at_once = recipe.global_batch / engines
    slower = max(1.0, SLOWER ** math.log(at_once / ROLLOUTS, 4))
    split = recipe.vllm_tensor_parallel_size
    return tokens * slower * (read / split / (READ_SHARE * card.bandwidth_tb_per_s * 1e12) + TOKEN_S)


def _step_s(recipe: TrainRecipe, shape: ModelShape, lengths: Lengths, card: Card, *, at_least: bool) -> float:
    sequences = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps
    seconds = sequences * tflop_a_sequence(recipe, shape, lengths) / card.tflop_per_s
    if not at_least and shape.vision.architecture == QWEN and (recipe.attn_impl, recipe.vit_attention) == ("sdpa", "stock"):
        forward = 1 + (1 + (recipe.beta > 0) if isinstance(recipe, GrpoRecipe) else 0)
        seconds += sequences * forward * WINDOWS_S * lengths.image
    if not isinstance(recipe, GrpoRecipe):
        return seconds
    tokens = recipe.max_completion_length * (SHORTEST if at_least else 1.0)
    sampling = decode_s(recipe, shape, card, tokens)
    together = recipe.async_generate and recipe.vllm_mode == "server"
    return STEP_S + (max(seconds, sampling) if together else seconds + sampling)


def hours(steps: int | None, step_s: Range | None) -> Range | None:
    """Hours of so many steps; None if either is not known."""
    return (steps * step_s[0] / 3600, steps * step_s[1] / 3600) if steps is not None and step_s else None


def gpu_kind(labels: Mapping[str, str]) -> str:
    """The kind of GPU that node labels choose, of those whose rate is known; empty if they do not say."""
    words = {word.upper() for value in labels.values() for word in str(value).replace("_", "-").split("-")}
    return next((kind for kind in CARDS if kind in words), "")


def kinds_of_size(gpu_memory_gb: float) -> tuple[str, ...]:
    """The kinds of GPU with about so much memory, as their names say."""
    return tuple(kind for kind, card in CARDS.items() if any(abs(gpu_memory_gb - size) < 1.5 for size in card.sizes_gb))


def range_text(low: float, high: float) -> str:
    """Two figures with as many digits as such an estimate deserves."""
    texts = [f"{figure:,.0f}" if figure >= 10 else f"{figure:.1f}" for figure in (low, high)]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
