"""The recipe of GRPO: group relative policy optimisation with verifiable rewards (paper section 3.3)."""

from math import ceil
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from globe.errors import InputError
from globe.rewards import LOCALIZABILITY, full_name
from globe.training.grpo_rules import contradictions
from globe.training.recipe import Prompt, TrainRecipe


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

    loss_type: Literal["grpo", "dr_grpo", "bnpo", "dapo", "cispo", "sapo"] = "grpo"
    scale_rewards: Literal["group", "batch", "none", "gdpo"] = "group"
    importance_sampling_level: Literal["token", "sequence"] = "token"
    num_iterations: PositiveInt = 1
    steps_per_generation: PositiveInt | None = None
    """Batches of each process that a rollout is trained on; as many as are accumulated if left out."""
    epsilon: PositiveFloat = 0.2
    epsilon_high: PositiveFloat | None = None
    """Upper bound of the ratio's clip ("clip-higher", DAPO); `epsilon` if left out. The ratio is 1, and nothing is clipped, where
    each rollout is trained on for one optimiser step only."""
    overlong_filter: bool = False
    """Leave completions that were cut off out of the loss."""
    log_entropy: bool = False
    rollout_importance_sampling_mode: Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] | None = None
    """How to correct for the difference between the engine's probabilities and the trainer's; not at all if left out."""
    rollout_importance_sampling_threshold: PositiveFloat = 2.0

    use_vllm: bool = True
    vllm_mode: Literal["colocate", "server"] = "colocate"
    """Whether the rollout engine shares the trainer's GPUs or has `rollout_gpus` of its own."""
    rollout_gpus: int = Field(default=0, ge=0)
    """GPUs of the rollout engine where it has its own; the others train. 0 where it has none."""
    async_generate: bool = False
    """Sample the next batch while training on this one: one step off policy, and only in server mode. A checkpoint holds nothing
    of the batch in flight: a resumed training first samples the epoch's first batch again in its place."""
    vllm_gpu_memory_utilization: float = Field(default=0.4, gt=0, lt=1)
    vllm_tensor_parallel_size: PositiveInt = 1
    vllm_enforce_eager: bool = False
    vllm_mm_processor_cache_gb: float = Field(default=0.0, ge=0)
    """vLLM's cache of processed pictures. Off: in rollouts it fails with "Expected a cached item" (ms-swift #5858, #9863)."""
    sleep_level: Literal[0, 1, 2] = 0
    """While the trainer works: 1 moves the weights of the engine to host memory, 2 drops them; both drop its cache."""
    move_model_batches: PositiveInt | None = None
    """Give the engine the new weights in so many parts, instead of gathering the whole model beside it."""
    offload_model: bool = False
    offload_optimizer: bool = False

    reward_timeout_s: PositiveFloat = 60.0
    """Longest wait for one answer of the reward service, without retries."""
    reward_patience_s: PositiveFloat = 1800.0
    """Longest wait for a reward service that has gone away; then the stage stops, and goes on when started again."""

    eval_rows: int = Field(default=0, ge=0)
    """Rows of the pool that are kept out of training to measure it; 0 measures nothing, and the last checkpoint is taken."""
    eval_steps: PositiveInt = 50
    """Steps between measurements. Each ends with a checkpoint, and the best measured one is published."""
    sample_steps: PositiveInt = 50
    """Steps between pages of samples."""

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
    def _without_contradictions(self) -> Self:
        for complaint in contradictions(self):
            raise ValueError(complaint)
        return self

    @property
    def batches_a_generation(self) -> int:
        """Batches of each process that are sampled at once."""
        return self.steps_per_generation or self.gradient_accumulation_steps

    @property
    def batches_a_rollout(self) -> int:
        """Batches of each process for which a rollout is trained on."""
        return self.num_iterations * self.batches_a_generation

    @property
    def rollout_batch(self) -> int:
        """Completions of one rollout, over all processes."""
        return self.nproc_per_node * self.per_device_train_batch_size * self.batches_a_generation

    @property
    def steps_a_rollout(self) -> int:
        """Optimiser steps at most for which a rollout is trained on."""
        return ceil(self.batches_a_rollout / self.gradient_accumulation_steps)

    @model_validator(mode="after")
    def _waits_together(self) -> "GrpoRecipe":
        """While one process waits for its scores, the others and the stage wait for it, and must not take it for dead."""
        if LOCALIZABILITY in self.rewards and self.reward_patience_s >= self.stall_s:
            raise ValueError(f"reward_patience_s ({self.reward_patience_s:g}) must be below stall_s ({self.stall_s:g})")
        if self.nproc_per_node > 1 and self.reward_patience_s >= self.ddp_timeout:
            raise ValueError(f"reward_patience_s ({self.reward_patience_s:g}) must be below ddp_timeout ({self.ddp_timeout})")
        return self

    @property
    def gpus(self) -> int:
        """GPUs that the recipe was written for: those that train, and the rollout engine's own."""
        return self.nproc_per_node + self.rollout_gpus

    @property
    def vllm_max_model_len(self) -> int:
        """Tokens of the longest prompt and completion together."""
        return self.max_length + self.max_completion_length

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
