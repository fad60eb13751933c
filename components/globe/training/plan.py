"""What a training will take, before anything is spent: memory, steps, hours, disk; and why it would not fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from globe.errors import InputError
from globe.training.fitted import fitted
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.image_tokens import SMALL_PHOTO, image_tokens
from globe.training.lengths import Lengths, longest, typical
from globe.training.memory import GB, Memory, disk_bytes, host_bytes, least_rollout_bytes, memory_of
from globe.training.recipe import TrainRecipe
from globe.training.shapes import ModelShape
from globe.training.throughput import CARDS, Range, hours, kinds_of_size, step_range, steps_of

MOST = 0.92
"""Share of a GPU's memory that a plan may fill; the rest is for what no formula knows."""
NAMED_GB = 1.0737
"""Decimal GB in one GB of a card's name: an "80 GB" card has 80 GiB, 85.9e9 bytes."""


@dataclass(frozen=True)
class Plan:
    """What a training will take."""

    stage: str
    model: str
    """The model's shape."""
    gpus: int
    processes: int
    gradient_accumulation_steps: int
    """On so many GPUs; the recipe's where it is run as written."""
    global_batch: int
    gpu_memory_gb: float
    """What one GPU has, in decimal GB; 0 if not said."""
    memory_gb_per_gpu: dict[str, float]
    """Decimal GB at the worst moment by part, and their `total`."""
    phases_gb: dict[str, float]
    """Decimal GB at the worst moment of training, and of rollouts where the engine sleeps meanwhile."""
    reasons: tuple[str, ...]
    """Why it does not fit; empty if it does."""
    notes: tuple[str, ...]
    rows: int | None
    at_most: bool
    """Whether these are the rows of what curation is given, of which it keeps some."""
    steps: int | None
    tokens: Lengths
    """Of the longest sequence."""
    tokens_a_step: tuple[int, int]
    """With photos of 500 px, and with the longest sequences."""
    step_s: Range | None
    hours: Range | None
    disk_gb: float
    host_memory_gb: float
    kinds: tuple[str, ...] = field(default=())
    """Kinds of GPU that the hours are for."""

    @property
    def fits(self) -> bool:
        """Whether it can run."""
        return not self.reasons

    @property
    def gpu_hours(self) -> Range | None:
        """GPU-hours; None if steps or their time are not known."""
        return (self.hours[0] * self.gpus, self.hours[1] * self.gpus) if self.hours else None

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the hours stand on."""
        if not self.step_s:
            return ()
        rates = ", ".join(f"{kind} {CARDS[kind].tflop_per_s:.0f} TFLOP/s" for kind in self.kinds)
        return (
            f"a GPU reaches in training: {rates}",
            f"from photos of {SMALL_PHOTO[0]} px and short answers to the longest sequences ({self.tokens.total:,} tokens)",
            "expected by a formula, not measured; loading, saving and waiting for nodes come on top",
        )


def plan(
    stage: str,
    recipe: TrainRecipe,
    model_shape: ModelShape,
    gpus: int = 0,
    gpu_memory_gb: float = 0.0,
    rows: int | None = None,
    *,
    at_most: bool = False,
    lengths: Lengths | None = None,
    kinds: Sequence[str] = (),
    free_disk_gb: float | None = None,
    serving: tuple[str, int] | None = None,
) -> Plan:
    """Plan a training.

    Args:
        stage: `sft`, `reward_model` or `grpo`.
        recipe: Its recipe, as written.
        model_shape: The model's shape.
        gpus: GPUs that are there, to which the recipe is fitted; 0 takes it as it is, and on a CPU if it was written for none.
        gpu_memory_gb: Memory of one, as its name says (40, 80); 0 if not known, and then nothing is compared with it.
        rows: Rows that it trains on; None if not known.
        at_most: Whether it may also be fewer.
        lengths: The longest sequence; the longest that the recipe allows if left out.
        kinds: Kinds of GPU that it may run on; those with so much memory if left out.
        free_disk_gb: Free space where it writes, in decimal GB; None if not known.
        serving: Name and max_model_len of the recipe that the trained model will be served with.
    """
    notes, reasons = [], []
    try:
        here = fitted(recipe, gpus)
    except InputError as error:
        here = recipe
        reasons.append(str(error))
    if here is not recipe:
        notes.append(
            f"written for {recipe.gpus} GPUs; on {gpus}: {here.nproc_per_node} processes, gradient_accumulation_steps "
            f"{here.gradient_accumulation_steps}, the same batch of {here.global_batch}"
        )
    most = lengths or longest(here, model_shape)
    card = gpu_memory_gb * NAMED_GB
    memory = memory_of(here, model_shape, most, card=card * GB, on_gpu=bool(gpus or gpu_memory_gb))
    disk = disk_bytes(here, model_shape) / GB
    reasons += [*_too_long(here, most, serving), *_too_large(here, model_shape, memory, card)]
    if free_disk_gb is not None and disk > free_disk_gb:
        reasons.append(
            f"disk: two checkpoints and one being written take {disk:,.0f} GB, and {free_disk_gb:,.0f} GB are free there; "
            "give an --out with more room"
        )
    known = tuple(kinds) or kinds_of_size(gpu_memory_gb)
    step_s, steps = step_range(here, model_shape, most, known), steps_of(here, rows)
    small = typical(here, image_tokens(model_shape.vision, *SMALL_PHOTO, here.max_pixels), most)
    return Plan(
        stage=stage,
        model=model_shape.name,
        gpus=gpus or here.gpus,
        processes=here.nproc_per_node,
        gradient_accumulation_steps=here.gradient_accumulation_steps,
        global_batch=here.global_batch,
        gpu_memory_gb=round(card, 1),
        memory_gb_per_gpu=_shown(memory.parts | {"total": memory.total}),
        phases_gb=_shown(memory.phases),
        reasons=tuple(reasons),
        notes=(*notes, *_unknown(here, rows, card, step_s)),
        rows=rows,
        at_most=at_most,
        steps=steps,
        tokens=most,
        tokens_a_step=(here.global_batch * small.total, here.global_batch * most.total),
        step_s=step_s,
        hours=hours(steps, step_s),
        disk_gb=round(disk, 3),
        host_memory_gb=round(host_bytes(here, model_shape) / GB, 1),
        kinds=known,
    )


def _shown(parts: dict[str, float]) -> dict[str, float]:
    return {name: round(size / GB, 3) for name, size in parts.items()}


def _too_long(recipe: TrainRecipe, most: Lengths, serving: tuple[str, int] | None) -> Iterator[str]:
    """What does not hold the longest sequence: the trainer, the rollout engine, or the server of the trained model."""
    asked = most.image + most.prompt
    parts = f"{most.image:,} image tokens + {most.prompt:,} of the prompt"
    if asked > recipe.max_length:
        yield f"max_length: {parts} are more than {recipe.max_length:,}; set max_pixels lower or max_length higher"
    if not isinstance(recipe, GrpoRecipe):
        return
    parts += f" + {most.answer:,} of the completion"
    if recipe.use_vllm and most.total > recipe.vllm_max_model_len:
        yield f"vllm_max_model_len: {parts} are more than {recipe.vllm_max_model_len:,}; set max_pixels or max_completion_length lower"
    if serving and most.total > serving[1]:
        yield f"max_model_len of serving recipe {serving[0]}: {parts} are more than {serving[1]:,}; set it higher"


def _too_large(recipe: TrainRecipe, shape: ModelShape, memory: Memory, card: float) -> Iterator[str]:
    """What does not fit into a GPU's memory."""
    if not card:
        return
    rolls = isinstance(recipe, GrpoRecipe) and recipe.use_vllm
    if rolls and recipe.vllm_gpu_memory_utilization * card * GB < least_rollout_bytes(recipe, shape):
        yield (
            f"rollout memory: vllm_gpu_memory_utilization {recipe.vllm_gpu_memory_utilization} of {card:.1f} GB are "
            f"{recipe.vllm_gpu_memory_utilization * card:.1f} GB, and the engine needs {least_rollout_bytes(recipe, shape) / GB:.1f} GB "
            "for its weights and one sequence; set it higher"
        )
    total = memory.total / GB
    if total <= MOST * card:
        return
    parts = sorted(memory.parts.items(), key=lambda part: part[1], reverse=True)[:3]
    largest = ", ".join(f"{name} {size / GB:.1f}" for name, size in parts)
    yield f"memory: {total:.1f} GB of a GPU's {card:.1f} GB ({total / card:.0%}), above {MOST:.0%}; most of it: {largest}; {_less(recipe)}"


def _less(recipe: TrainRecipe) -> str:
    """What would take less memory."""
    if recipe.tuner_type == "full" and recipe.nproc_per_node > 1 and recipe.deepspeed != "zero3":
        return "set deepspeed=zero3, which shares it out among the GPUs"
    if isinstance(recipe, GrpoRecipe) and recipe.use_vllm and recipe.vllm_mode == "colocate" and not recipe.sleep_level:
        return "set sleep_level=1, a smaller vllm_gpu_memory_utilization or per_device_train_batch_size"
    if recipe.tuner_type == "full" and recipe.nproc_per_node == 1:
        return "set tuner_type=lora, or give more GPUs and deepspeed=zero3"
    return "set a smaller per_device_train_batch_size, max_length or max_pixels, or give larger GPUs"


def _unknown(recipe: TrainRecipe, rows: int | None, card: float, step_s: Range | None) -> Iterator[str]:
    if rows is None and recipe.max_steps <= 0:
        yield f"steps are not known without rows (--data); 1,000 rows make {steps_of(recipe, 1000):,}"
    if not card and recipe.gpus > 1:
        yield "memory is compared with no card; give --gpu-memory-gb"
    if not step_s:
        yield f"hours are not known: rates are known of {', '.join(CARDS)} only"
