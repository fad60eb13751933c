"""Training recipes: how to train, not where. Every field is checked before a GPU is asked for.

A field that is handed to ms-swift has ms-swift's name for it.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from globe.answer.prompt import usable_prompt
from globe.recipes.base import Recipe, Seed

Prompt = Annotated[str, AfterValidator(usable_prompt)]
PIXELS_A_TOKEN = 28 * 28
"""Of Qwen2.5-VL: two by two patches of 14 x 14 pixels make one visual token."""
PROCESSES = "NPROC_PER_NODE"
"""The variable that tells ms-swift how many processes to start: the field `nproc_per_node`."""
RENAMED = {
    "per_device_batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "attention": "attn_impl",
    "lr_scheduler": "lr_scheduler_type",
    "freeze_vision": "freeze_vit",
    "dataloader_workers": "dataloader_num_workers",
}
"""What earlier versions called a field."""
OWNED = {
    *("model", "dataset", "output_dir", "add_version", "external_plugins", "callbacks", "strict", "tuner_type", "rlhf_type"),
    *("resume_from_checkpoint", "resume_only_model", "ignore_data_skip", "save_only_model", "save_strategy", "save_total_limit"),
    *("logging_nan_inf_filter", "load_args", "load_data_args"),
    *("reward_funcs", "reward_weights"),
    *("load_args", "custom_register_path"),
}
"""ms-swift arguments that only the stage may set: an exact resume after a kill depends on them, or which code runs."""


class TrainRecipe(Recipe):
    """What the three training stages share."""

    model_type: str = "qwen2_5_vl"
    """Architecture as ms-swift names it."""
    template: str = ""
    """Chat template as ms-swift names it; empty when it has the architecture's name."""
    torch_dtype: Literal["float32", "bfloat16"] = "bfloat16"
    attn_impl: Literal["sdpa", "flash_attn", "eager"] = "sdpa"
    """`flash_attn` needs the package flash-attn, which has no wheel on PyPI: compiling it against an image's CUDA and torch takes
    an hour. torch's own fused kernels (sdpa) need nothing. Only ms-swift's packing and padding_free require flash_attn, and no
    recipe here uses them. GRPO's rollouts do not depend on it either, since vLLM brings its own kernels."""
    vit_attention: Literal["batched", "stock"] = "batched"
    """Whether Qwen2.5-VL's vision tower takes all windows of a batch together (`globe.models.attention`), or one after the other,
    as transformers has it. The results are the same; other towers have no windows."""
    max_length: PositiveInt = 2048
    """Longest sequence in tokens, image included."""
    max_pixels: PositiveInt = 1_003_520
    """Largest picture of Qwen2.5-VL in pixels after resizing, a multiple of `PIXELS_A_TOKEN`. InternVL3 takes tiles instead."""
    max_steps: int = -1
    """Optimiser steps; with -1 `num_train_epochs` decides."""
    num_train_epochs: PositiveFloat = 1.0
    nproc_per_node: PositiveInt = 1
    """Processes that train, one a GPU. On other GPUs the accumulation changes, not the batch (`globe.training.fitted`)."""
    per_device_train_batch_size: PositiveInt = 1
    gradient_accumulation_steps: PositiveInt = 1
    learning_rate: PositiveFloat
    lr_scheduler_type: Literal["cosine", "constant", "constant_with_warmup", "linear"] = "cosine"
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1)
    freeze_vit: bool = True
    """Train neither the vision tower nor the layers that join it to the language model (freeze_vit, freeze_aligner)."""
    gradient_checkpointing: bool = True
    tuner_type: Literal["full", "lora"] = "full"
    lora_rank: PositiveInt = 16
    lora_alpha: PositiveInt = 64
    target_modules: list[str] = Field(default=["all-linear"])
    modules_to_save: list[str] = Field(default=[])
    """Modules that are trained in full beside the adapters; a random base model needs its output layer here."""
    save_steps: PositiveInt = 200
    """Steps between checkpoints: the most that a kill can cost."""
    logging_steps: PositiveInt = 5
    deepspeed: Literal["zero2", "zero3"] | None = None
    ddp_timeout: PositiveInt = 3600
    """Seconds that a process waits for the others before the training ends (ms-swift's 18,000,000 would hold them for months)."""
    stall_s: PositiveFloat = 3600.0
    """Longest time without a finished step; then the training ends, and its processes say where they were."""
    dataloader_num_workers: int = Field(default=4, ge=0)
    seed: Seed = 0
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the training process, such as OMP_NUM_THREADS."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further ms-swift arguments; their names are checked by `globe.training.further_arguments`."""

    @property
    def global_batch(self) -> int:
        """Sequences of one optimiser step, over all processes."""
        return self.nproc_per_node * self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def gpus(self) -> int:
        """GPUs that the recipe was written for."""
        return self.nproc_per_node

    @field_validator("arguments")
    @classmethod
    def _further_ones(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments:
            if name in OWNED:
                raise ValueError(f"{name} is set by the stage; leave it out")
            if name in cls.model_fields:
                raise ValueError(f"{name} is a field of the recipe; set it there")
        return arguments

    @field_validator("max_pixels")
    @classmethod
    def _whole_tokens(cls, max_pixels: int) -> int:
        tokens, rest = divmod(max_pixels, PIXELS_A_TOKEN)
        if rest:  # training would round it down to whole tokens, and serving would not
            raise ValueError(f"give a multiple of {PIXELS_A_TOKEN}, such as {max(tokens, 4) * PIXELS_A_TOKEN}")
        return max_pixels

    @field_validator("max_steps")
    @classmethod
    def _some_steps(cls, max_steps: int) -> int:
        if max_steps != -1 and max_steps < 1:
            raise ValueError("give 1 or more, or -1 to leave it to num_train_epochs")
        return max_steps

    @field_validator("environment")
    @classmethod
    def _processes_are_a_field(cls, environment: dict[str, str]) -> dict[str, str]:
        if PROCESSES in environment:
            raise ValueError(f"{PROCESSES} is the field nproc_per_node of the recipe; set it there")
        return environment

    @model_validator(mode="after")
    def _what_goes_with_adapters(self) -> Self:
        if self.tuner_type == "lora" and self.deepspeed:  # it loads adapters unchecked, so a resume could not be trusted
            raise ValueError(f"deepspeed ({self.deepspeed}): adapters are trained without DeepSpeed; set it to null")
        if self.tuner_type == "full" and self.modules_to_save:
            raise ValueError("modules_to_save stand beside adapters: set tuner_type to lora, or leave them out")
        return self

    @model_validator(mode="before")
    @classmethod
    def _new_names(cls, content: Any) -> Any:
        for old in RENAMED.keys() & content.keys() if isinstance(content, dict) else ():
            raise ValueError(f"{old} is called {RENAMED[old]} now, as in ms-swift; rename it")
        return content


class SftRecipe(TrainRecipe):
    """Supervised fine-tuning on the curated reasoning and answers (paper section 3.2; repository `sft.sh`)."""

    prompt: Prompt = ""
    """The user turn's text after the picture; empty for the model's own, as in its manifest, or else `globe.answer.prompt`'s."""


class RewardModelRecipe(TrainRecipe):
    """The localizability judge: LoRA on the base model, answering yes or no."""

    tuner_type: Literal["lora"] = "lora"
    balance_classes: bool = True
    """Repeat rows of the rarer verdict until both are equally common."""
