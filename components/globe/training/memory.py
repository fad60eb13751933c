"""How much memory a training takes on each GPU, by part, from the model's shape and the recipe.

P are the model's parameters, Pt those that are trained, N the processes, b the bytes of a number (2 in bfloat16, 4 in float32).
Sizes are in bytes here, and in decimal GB (10^9 bytes) where they are shown.
"""

from dataclasses import dataclass, field

from globe.training.grpo_recipe import GrpoRecipe
from globe.training.layers import layer_gradient_bytes, text_layer_bytes, vision_layer_bytes
from globe.training.lengths import Lengths
from globe.training.recipe import TrainRecipe
from globe.training.sampling_memory import completions_at_once, picture_bytes, sampling_memory
from globe.training.shapes import ModelShape

GB = 1e9
LIVE_PARAMETERS = 1e9
"""`stage3_max_live_parameters` in ms-swift's zero3.json: so many gathered ones are kept at most."""
BUCKET = 2e8
"""`reduce_bucket_size` and `allgather_bucket_size` in ms-swift's zero2.json."""
RUNTIME_BYTES = 1.5e9
"""CUDA's context, NCCL's buffers and cuBLAS' workspaces; an estimate."""
SLACK = 0.05
"""Share of what the trainer holds that the allocator loses to fragments; an estimate."""
ENGINE_BYTES = 2e9
"""What vLLM needs beside weights and cache: activations, CUDA graphs; an estimate."""
ASLEEP_BYTES = 1e9
"""What a sleeping vLLM keeps: CUDA graphs and its share of the context; an estimate."""
PROCESS_BYTES = 4e9
"""Of the host's memory, for Python, torch and the data loaders of one process; an estimate."""
SFT_LOGITS = {2: 12.0, 4: 12.0}
"""Bytes for each position and word of the vocabulary at the worst moment, by b: the log-softmax in float32, its gradient and that
of the logits (transformers' ForCausalLMLoss)."""
GRPO_LOGITS = {2: 10.0, 4: 20.0}
"""The same for GRPO's log-probabilities (trl's selective_log_softmax, as ms-swift calls it)."""


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU."""

    parts: dict[str, float]
    """Of the worst moment, by part."""
    phases: dict[str, float] = field(default_factory=dict)
    """Sums at the worst moments of training, and of rollouts where the same GPUs sample at another time."""

    @property
    def total(self) -> float:
        """Bytes at the worst moment."""
        return sum(self.parts.values())


def trained_parameters(recipe: TrainRecipe, shape: ModelShape) -> int:
    """Parameters that are trained: the adapters, the language model, or all."""
    if recipe.tuner_type == "lora":
        copied = sum(shape.text.embedding for name in recipe.modules_to_save if name in ("lm_head", "embed_tokens"))
        seeing = 0 if recipe.freeze_vit else shape.vision.adapters(recipe.lora_rank, shape.text.hidden)
        return shape.text.adapters(recipe.lora_rank) + seeing + copied
    return shape.text.parameters if recipe.freeze_vit else shape.parameters


def memory_of(recipe: TrainRecipe, shape: ModelShape, lengths: Lengths, *, card: float, on_gpu: bool = True) -> Memory:
    """Memory of each GPU.

    Args:
        recipe: The recipe, for the GPUs that are there.
        shape: The model's shape.
        lengths: The longest sequence.
        card: Bytes of a GPU, of which a colocated rollout engine takes its share; 0 if not known.
        on_gpu: Whether it trains on GPUs, whose runtime takes memory of its own.
    """
    held = _held(recipe, shape)
    working = _working(recipe, shape, lengths)
    training = held | working | (_runtime(held | working) if on_gpu else {})
    if isinstance(recipe, GrpoRecipe) and not recipe.use_vllm:
        kept = {name: size for name, size in held.items() if name != "gradients"}  # they are dropped after each step
        sampling = sampling_memory(recipe, shape, lengths, _bytes(recipe)) | {"gathered_weights": _gathered(recipe, shape)}
        return _worst(training, kept | sampling | (_runtime(kept | sampling) if on_gpu else {}))
    if not (isinstance(recipe, GrpoRecipe) and recipe.vllm_mode == "colocate"):
        return Memory(training, {"training": sum(training.values())})
    share = rollout_bytes(recipe, shape, card)
    if not recipe.sleep_level:
        both = training | {"rollout_engine": share}
        return Memory(both, {"training": sum(both.values())})
    asleep = training | {"rollout_engine": ASLEEP_BYTES}
    awake = (
        {name: 0.0 if _is_offloaded(recipe, name) else size for name, size in held.items()}
        | {"new_weights": _gathered(recipe, shape), "rollout_engine": share, "pictures": working["pictures"]}
        | (_runtime(held) if on_gpu else {})
    )
    return _worst(asleep, awake)


def _worst(training: dict[str, float], rollouts: dict[str, float]) -> Memory:
    phases = {"training": sum(training.values()), "rollouts": sum(rollouts.values())}
    return Memory(training if phases["training"] >= phases["rollouts"] else rollouts, phases)


def rollout_bytes(recipe: GrpoRecipe, shape: ModelShape, card: float) -> float:
    """Bytes that a rollout engine takes of its GPU: its share of the card, or what it needs where the card is not known."""
    return recipe.vllm_gpu_memory_utilization * card if card else least_rollout_bytes(recipe, shape)


def least_rollout_bytes(recipe: GrpoRecipe, shape: ModelShape) -> float:
    """Bytes without which a rollout engine cannot start: its part of the weights, and the cache of one longest sequence."""
    weights = _bytes(recipe) * shape.parameters / recipe.vllm_tensor_parallel_size
    cache = shape.kv_bytes_a_token * recipe.vllm_max_model_len / recipe.vllm_tensor_parallel_size
    return weights + cache + ENGINE_BYTES


def _held(recipe: TrainRecipe, shape: ModelShape) -> dict[str, float]:
    """What stays between steps.

    Weights b P, or b P/N with ZeRO-3. In mixed precision DeepSpeed keeps a float32 copy and Adam's two moments of what is
    trained, 12 Pt, and gradients 2 Pt, both shared out by ZeRO-2 and 3 (the ZeRO paper, arXiv 1910.02054, section 3). Without it
    torch's AdamW keeps its moments in the weights' own type, 2 b Pt, and several processes copy their gradients into buckets,
    b Pt more (torch's DistributedDataParallel). peft keeps adapters in float32: 16 bytes each in all.
    """
    number, processes = _bytes(recipe), recipe.nproc_per_node
    trained, lora = trained_parameters(recipe, shape), recipe.tuner_type == "lora"
    own = 4 if lora else number
    shared = processes if recipe.deepspeed else 1
    weights = number * shape.parameters / (processes if recipe.deepspeed == "zero3" else 1)
    parts = {"weights": weights + (own * trained if lora else 0)}
    if isinstance(recipe, GrpoRecipe) and recipe.beta > 0 and not lora:  # adapters are switched off for it
        parts["reference_model"] = weights
    parts["gradients"] = own * trained / shared
    if not recipe.deepspeed and processes > 1:
        parts["gradients"] *= 2
    master = 12 if recipe.deepspeed and number == 2 else 2 * own
    return parts | {"optimizer": master * trained / shared}


def _working(recipe: TrainRecipe, shape: ModelShape, lengths: Lengths) -> dict[str, float]:
    """What one batch takes: what the forward pass keeps, and the most that is needed beside it at any moment.

    That is the logits of the positions that count, one layer while it is recomputed, or the step of DeepSpeed's optimiser, which
    copies a process's gradients to float32 (4 Pt/N).
    """
    number, batch = _bytes(recipe), recipe.per_device_train_batch_size
    tokens, text = batch * lengths.total, shape.text
    lora = recipe.tuner_type == "lora"
    layer = tokens * text_layer_bytes(text, number, lora=lora)
    patches = batch * lengths.image * shape.vision.merge**2
    tower = 0.0 if recipe.freeze_vit else patches * vision_layer_bytes(shape.vision, number, lora=lora)
    if recipe.gradient_checkpointing:
        kept = float(number * tokens * text.hidden * text.layers)
        kept += 0.0 if recipe.freeze_vit else number * patches * shape.vision.hidden * shape.vision.layers
        again = max(layer + tokens * layer_gradient_bytes(text, number), tower)
    else:
        kept, again = text.layers * layer + shape.vision.layers * tower, tokens * layer_gradient_bytes(text, number)
    per_logit = (GRPO_LOGITS if isinstance(recipe, GrpoRecipe) else SFT_LOGITS)[number]
    logits = per_logit * batch * (lengths.answer + 1) * text.vocabulary
    gathers = _gathers(recipe, shape)
    step = 4 * trained_parameters(recipe, shape) / recipe.nproc_per_node if recipe.deepspeed and number == 2 else 0.0
    name, transient = max((("logits", gathers + logits), ("one_layer", gathers + again), ("optimizer_step", step)), key=_second)
    pictures = completions_at_once(recipe) if isinstance(recipe, GrpoRecipe) else batch
    return {"activations": kept, "pictures": pictures * picture_bytes(shape.vision, lengths.image), name: transient}


def _runtime(parts: dict[str, float]) -> dict[str, float]:
    return {"runtime": RUNTIME_BYTES, "slack": SLACK * sum(parts.values())}


def _gathers(recipe: TrainRecipe, shape: ModelShape) -> float:
    """Parameters that ZeRO-3 has gathered at once (not more than it may keep, and the layer at work), or ZeRO-2's two buckets."""
    if recipe.deepspeed == "zero3":
        return _bytes(recipe) * min(shape.parameters, LIVE_PARAMETERS + shape.text.layer)
    return 2 * _bytes(recipe) * min(shape.parameters, BUCKET) if recipe.deepspeed else 0.0


def _gathered(recipe: GrpoRecipe, shape: ModelShape) -> float:
    """Weights that are gathered to be given to the rollout engine: the whole model with ZeRO-3, or one of so many parts."""
    if recipe.deepspeed != "zero3":
        return 0.0
    return _bytes(recipe) * shape.parameters / (recipe.move_model_batches or 1)


def _is_offloaded(recipe: GrpoRecipe, part: str) -> bool:
    return (part == "optimizer" and recipe.offload_optimizer) or (
        part in ("weights", "reference_model", "gradients") and recipe.offload_model
    )


def _bytes(recipe: TrainRecipe) -> int:
    return 2 if recipe.torch_dtype == "bfloat16" else 4


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def checkpoint_bytes(recipe: TrainRecipe, shape: ModelShape) -> float:
    """Bytes of a checkpoint: 2P + 12Pt with DeepSpeed, weights and Adam's moments without, or those of the adapters."""
    trained, number = trained_parameters(recipe, shape), _bytes(recipe)
    if recipe.tuner_type == "lora":
        return 12.0 * trained
    return number * shape.parameters + (12 if recipe.deepspeed and number == 2 else 2 * number) * trained


def disk_bytes(recipe: TrainRecipe, shape: ModelShape) -> float:
    """Bytes that a stage needs beside its data: two checkpoints and one being written; with adapters the merged model, too."""
    merged = _bytes(recipe) * shape.parameters if recipe.tuner_type == "lora" else 0
    kept = 4 if getattr(recipe, "eval_rows", 0) else 3  # the newest two, the best one that was measured, and one being written
    return kept * checkpoint_bytes(recipe, shape) + merged


def host_bytes(recipe: TrainRecipe, shape: ModelShape) -> float:
    """Bytes of the machine's own memory: 4 GB a process, and what is moved there while the GPU's memory is needed.

    Sleep level 1 keeps the weights of each engine, 2 P N in all; offloading the rest of what the trainer holds.
    """
    processes = recipe.nproc_per_node
    needed = processes * PROCESS_BYTES
    if isinstance(recipe, GrpoRecipe) and recipe.use_vllm and recipe.vllm_mode == "colocate":
        asleep = _bytes(recipe) * shape.parameters * processes / recipe.vllm_tensor_parallel_size
        needed += asleep if recipe.sleep_level == 1 else 0
        needed += processes * sum(size for part, size in _held(recipe, shape).items() if _is_offloaded(recipe, part))
    return needed
