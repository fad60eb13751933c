"""Training recipes: how to train, not where. Every field is checked before a GPU is asked for."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from globe.answer.prompt import usable_prompt
from globe.errors import InputError
from globe.recipes.base import Recipe, Seed
from globe.rewards import LOCALIZABILITY, full_name

Prompt = Annotated[str, AfterValidator(usable_prompt)]
PROCESSES = "NPROC_PER_NODE"
"""The variable that tells ms-swift how many processes to start."""
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
    attention: Literal["sdpa", "flash_attn", "eager"] = "sdpa"
    """`flash_attn` needs the package flash-attn, which has no wheel on PyPI: compiling it against an image's CUDA and torch takes
    an hour. torch's own fused kernels (sdpa) need nothing. Only ms-swift's packing and padding_free require flash_attn, and no
    recipe here uses them. GRPO's rollouts do not depend on it either, since vLLM brings its own kernels."""
    max_length: PositiveInt = 2048
    """Longest sequence in tokens, image included."""
    max_pixels: PositiveInt = 1_003_520
    """Largest picture in pixels after resizing; 28 x 28 pixels make one visual token."""
    max_steps: int = -1
    """Optimiser steps; with -1 `epochs` decides."""
    epochs: PositiveFloat = 1.0
    per_device_batch_size: PositiveInt = 1
    gradient_accumulation_steps: PositiveInt = 1
    learning_rate: PositiveFloat
    lr_scheduler: Literal["cosine", "constant", "constant_with_warmup", "linear"] = "cosine"
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1)
    freeze_vision: bool = True
    gradient_checkpointing: bool = True
    save_steps: PositiveInt = 200
    """Steps between checkpoints: the most that a kill can cost."""
    logging_steps: PositiveInt = 5
    deepspeed: Literal["", "zero2", "zero3"] = ""
    dataloader_workers: int = Field(default=4, ge=0)
    seed: Seed = 0
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the training process, such as OMP_NUM_THREADS."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further ms-swift arguments, passed on unchecked: only ms-swift itself knows them all."""

    @property
    def processes(self) -> int:
        """How many processes ms-swift starts, one a GPU."""
        return int(self.environment.get(PROCESSES, "1"))

    @field_validator("arguments")
    @classmethod
    def _further_ones(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments:
            if name in OWNED:
                raise ValueError(f"{name} is set by the stage; leave it out")
            if name in cls.model_fields:
                raise ValueError(f"{name} is a field of the recipe; set it there")
        return arguments

    @field_validator("max_steps")
    @classmethod
    def _some_steps(cls, max_steps: int) -> int:
        if max_steps != -1 and max_steps < 1:
            raise ValueError("give 1 or more, or -1 to leave it to epochs")
        return max_steps

    @field_validator("environment")
    @classmethod
    def _whole_processes(cls, environment: dict[str, str]) -> dict[str, str]:
        number = environment.get(PROCESSES, "1")
        if not number.isdecimal() or not int(number):
            raise ValueError(f"{PROCESSES} is {number!r}; give how many processes to start, 1 or more")
        return environment


class SftRecipe(TrainRecipe):
    """Supervised fine-tuning on the curated reasoning and answers (paper section 3.2; repository `sft.sh`)."""

    prompt: Prompt = ""
    """The user turn's text after the picture; empty for the model's own, as in its manifest, or else `globe.answer.prompt`'s."""


class RewardModelRecipe(TrainRecipe):
    """The localizability judge: LoRA on the base model, answering yes or no."""

    lora_rank: PositiveInt = 16
    lora_alpha: PositiveInt = 64
    target_modules: list[str] = Field(default=["all-linear"])
    modules_to_save: list[str] = Field(default=[])
    """Modules that are trained in full beside the adapters; a random base model needs its output layer here."""
    balance_classes: bool = True
    """Repeat rows of the rarer verdict until both are equally common."""

    @field_validator("deepspeed")
    @classmethod
    def _adapters_alone(cls, deepspeed: str) -> str:
        if deepspeed:  # it loads adapters without checking that they fit, so a resumed training could not be trusted
            raise ValueError("adapters are trained without DeepSpeed; leave it out")
        return deepspeed


class GrpoRecipe(TrainRecipe):
    """Group relative policy optimisation with verifiable rewards (paper section 3.3)."""

    prompt: Prompt = ""
    """The user turn's text after the picture; empty for the model's own, as in its manifest, or else `globe.answer.prompt`'s."""
    rewards: dict[str, PositiveFloat]
    """Weight of each reward by name; `localizability` counts only where there is a reward model."""
    num_generations: int = Field(default=16, ge=2)
    """Group size: completions of one prompt that are compared with each other."""
    temperature: PositiveFloat = 1.0
    top_k: int = 1_000_000
    """A number larger than any vocabulary turns it off; 0 and -1 do not: for these transformers fills in 50."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    beta: float = Field(default=0.001, ge=0)
    """Weight of the KL term against the starting policy."""
    max_completion_length: PositiveInt = 1024
    use_vllm: bool = True
    vllm_mode: Literal["colocate", "server"] = "colocate"
    vllm_gpu_memory_utilization: float = Field(default=0.4, gt=0, lt=1)
    reward_timeout_s: PositiveFloat = 60.0
    """Longest wait for one answer of the reward service, without retries."""

    @field_validator("rewards")
    @classmethod
    def _known_rewards(cls, rewards: dict[str, float]) -> dict[str, float]:
        if not rewards:
            raise ValueError("GRPO needs at least one reward")
        known: dict[str, float] = {}
        for name, weight in rewards.items():
            try:
                reward = full_name(name)
            except InputError as error:
                raise ValueError(str(error)) from None
            if reward in known:
                raise ValueError(f"{reward} is given twice, once by a short name; give one of them")
            known[reward] = weight
        return known

    @model_validator(mode="after")
    def _whole_groups(self) -> "GrpoRecipe":
        batch = self.per_device_batch_size * self.gradient_accumulation_steps
        if batch % self.num_generations and self.num_generations % batch:
            raise ValueError(
                f"per_device_batch_size x gradient_accumulation_steps ({batch}) must hold whole groups of "
                f"num_generations ({self.num_generations})"
            )
        return self

    @model_validator(mode="after")
    def _saved_between_rollouts(self) -> "GrpoRecipe":
        """A checkpoint holds no completions, so one made while some are still to be trained on allows no exact resume."""
        rollout = 1
        for name, usual in (("num_iterations", 1), ("steps_per_generation", self.gradient_accumulation_steps)):
            value = self.arguments.get(name, usual)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"arguments: {name} is {value!r}; give a whole number, 1 or more")
            rollout *= value
        if self.save_steps * self.gradient_accumulation_steps % rollout:
            raise ValueError(
                f"save_steps ({self.save_steps}) must end with a rollout, which is trained on for {rollout} batches "
                f"({self.gradient_accumulation_steps} a step)"
            )
        return self

    def weights(self, *, judged: bool) -> dict[str, float]:
        """The rewards that count, by name.

        Args:
            judged: Whether there is a reward model to ask.

        Raises:
            InputError: None is left without a reward model.
        """
        weights = {name: weight for name, weight in self.rewards.items() if judged or name != LOCALIZABILITY}
        if not weights:
            raise InputError(f"grpo.rewards: {LOCALIZABILITY} alone needs a reward model; train or give one, or add a reward")
        return weights
