"""What a training will take, before anything is spent: memory, steps, hours, disk; and why it would not fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from globe.errors import InputError
from globe.training.fitted import fitted
from globe.training.image_tokens import SMALL_PHOTO, image_tokens
from globe.training.lengths import Lengths, longest, typical
from globe.training.memory import GB, disk_bytes, host_bytes, memory_of
from globe.training.plan_refusals import too_full, too_large, too_long, too_much_beside
from globe.training.recipe import TrainRecipe
from globe.training.shapes import ModelShape
from globe.training.throughput import CARDS, Range, hours, kinds_of_size, step_range, steps_of

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
    fitted: str
    """How the recipe is run on these GPUs, if it was written for others."""
    notes: tuple[str, ...]
    rows: int | None
    at_most: bool
    """Whether these are the rows of what curation is given, of which it keeps some."""
    steps: int | None
    steps_a_thousand: int | None
    """Steps that 1,000 rows would make."""
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
    host_memory_gb: float | None = None,
    serving: tuple[str, int] | None = None,
) -> Plan:
    """Plan a training.

    Args:
        stage: `sft`, `reward_model` or `grpo`.
        recipe: Its recipe, as written.
        model_shape: The model's shape.
        gpus: GPUs that are there, to which the recipe is fitted; 0 takes it as it is.
        gpu_memory_gb: Memory of one, as its name says (40, 80); 0 if not known, and then nothing is compared with it.
        rows: Rows that it is given; None if not known.
        at_most: Whether it may also be fewer.
        lengths: The longest sequence; the longest that the recipe allows if left out.
        kinds: Kinds of GPU that it may run on; those with so much memory if left out.
        free_disk_gb: Free space where it writes, in decimal GB; None if not known.
        host_memory_gb: Memory of its machines or pods beside their GPUs', in decimal GB; None if not known.
        serving: Name and max_model_len of the recipe that the trained model will be served with.
    """
    changed, unfit, reasons = "", "", []
    try:
        here = fitted(recipe, gpus)
    except InputError as error:
        here = recipe
        reasons.append(str(error))
        unfit = f"all but the reason is for {counted(recipe.gpus, 'GPU')}, as the recipe was written"
    if here is not recipe:
        changed = (
            f"written for {counted(recipe.gpus, 'GPU')}; on {gpus}: {counted(here.nproc_per_node, 'process')}, "
            f"gradient_accumulation_steps {here.gradient_accumulation_steps}, the same batch of {here.global_batch}"
        )
    most = lengths or longest(here, model_shape)
    on_gpu = here.environment.get("CUDA_VISIBLE_DEVICES") != ""  # as the demo's recipes have it
    card = gpu_memory_gb * NAMED_GB if on_gpu else 0.0
    memory = memory_of(here, model_shape, most, card=card * GB, on_gpu=on_gpu)
    disk, beside = disk_bytes(here, model_shape) / GB, host_bytes(here, model_shape) / GB
    if model_shape.vision.architecture != recipe.model_type:
        reasons.append(
            f"model_type: the recipe trains {recipe.model_type}, and {model_shape.name} is {model_shape.vision.architecture}"
        )
    reasons += [*too_long(here, most, serving), *too_large(here, model_shape, memory, card)]
    if free_disk_gb is not None:
        reasons += too_full(here, disk, free_disk_gb)
    if host_memory_gb is not None:
        reasons += too_much_beside(here, beside, host_memory_gb)
    known = (tuple(kinds) or kinds_of_size(gpu_memory_gb)) if on_gpu else ()
    step_s, steps = step_range(here, model_shape, most, known), steps_of(here, _trained_on(here, rows))
    small = typical(here, image_tokens(model_shape.vision, *SMALL_PHOTO, here.max_pixels), most)
    return Plan(
        stage=stage,
        model=model_shape.name,
        gpus=(gpus or here.gpus) if on_gpu else 0,
        processes=here.nproc_per_node,
        gradient_accumulation_steps=here.gradient_accumulation_steps,
        global_batch=here.global_batch,
        gpu_memory_gb=round(card, 1),
        memory_gb_per_gpu=_shown(memory.parts | {"total": memory.total}),
        phases_gb=_shown(memory.phases),
        reasons=tuple(reasons),
        fitted=changed,
        notes=(*filter(None, (changed, unfit)), *_unknown(here, rows, card, step_s, on_gpu)),
        rows=rows,
        at_most=at_most,
        steps=steps,
        steps_a_thousand=steps_of(here, 1000),
        tokens=most,
        tokens_a_step=(here.global_batch * small.total, here.global_batch * most.total),
        step_s=step_s,
        hours=hours(steps, step_s),
        disk_gb=round(disk, 6),
        host_memory_gb=round(beside, 1),
        kinds=known,
    )


def counted(number: int, noun: str) -> str:
    """A number of things, in words: 1 GPU, 8 GPUs, 8 processes."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def _trained_on(recipe: TrainRecipe, rows: int | None) -> int | None:
    """Without the rows that GRPO measures on."""
    return rows if rows is None else max(0, rows - getattr(recipe, "eval_rows", 0))


def _shown(parts: dict[str, float]) -> dict[str, float]:
    return {name: round(size / GB, 6) for name, size in parts.items()}


def _unknown(recipe: TrainRecipe, rows: int | None, card: float, step_s: Range | None, on_gpu: bool) -> Iterator[str]:
    if rows is None and recipe.max_steps <= 0:
        yield f"steps are not known without rows (--data); 1,000 rows make {steps_of(recipe, 1000):,}"
    if not on_gpu:
        yield "the recipe trains on the CPU: its memory is without that of Python and its libraries, and hours are not known"
    elif not card:
        yield "nothing is compared with a card's memory, and hours are not known without one; give --gpu-memory-gb"
    elif not step_s:
        yield f"hours are not known: rates are known of {', '.join(CARDS)} only"
