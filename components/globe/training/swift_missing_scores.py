"""ms-swift plugin: a completion without a score takes no part in its group's comparison.

ms-swift counts a missing score (None, which becomes NaN) as 0: the completion would be taught to be bad, and its group's mean and
spread would be wrong. Here means and spreads are those of the others, its own advantage is 0, none of its tokens is in the loss
(nor in its KL term, nor among the tokens that a loss divides by), and `completions.jsonl` says null. Where more than half of a
step's completions have no score, the rest says too little, and the training ends.
"""

import math
from collections import deque
from dataclasses import replace
from typing import Any

import torch
from accelerate.utils import gather
from swift.rl_core.advantage import RewardMetrics
from swift.rlhf_trainers import GRPOTrainer, grpo_trainer
from swift.rlhf_trainers.utils import get_even_process_data
from swift.utils import nanstd

from globe.errors import GlobeError
from globe.rewards import LOCALIZABILITY
from globe.training.grpo_arguments import REFUSED_METRIC

MOST_MISSING = 0.5
"""Share of a step's completions."""
_compute_advantages = grpo_trainer.compute_advantages
_compute_reward_metrics = grpo_trainer.compute_reward_metrics
_advantages_of_trainer = GRPOTrainer._compute_advantages
Tensors = tuple[torch.Tensor, torch.Tensor]


def compute_advantages(
    rewards_per_func: torch.Tensor,
    reward_weights: torch.Tensor,
    num_generations: int,
    advantage_estimator: str = "grpo",
    scale_rewards: str = "group",
    kl_in_reward: bool = False,
    beta: float = 0.0,
    kl_values: torch.Tensor | None = None,
) -> Tensors:
    """ms-swift's advantages and rewards, as if completions with a missing score were not there.

    Args:
        rewards_per_func: As in ms-swift, a row for each completion; so are the other arguments.
        reward_weights: Weight of each column.
        num_generations: Completions of a group.
        advantage_estimator: "grpo", "rloo" or "reinforce_plus_plus".
        scale_rewards: "group", "batch", "none" or "gdpo".
        kl_in_reward: Whether the KL term is part of the reward.
        beta: Its weight.
        kl_values: It, for each completion.

    Returns:
        The advantages, 0 where a score is missing, and the weighted rewards, not a number there.
    """
    options = {"advantage_estimator": advantage_estimator, "kl_in_reward": kl_in_reward, "beta": beta}
    missing = torch.isnan(rewards_per_func).any(dim=1)
    if not missing.any():
        return _compute_advantages(
            rewards_per_func, reward_weights, num_generations, scale_rewards=scale_rewards, kl_values=kl_values, **options
        )
    advantages = torch.zeros_like(rewards_per_func[:, 0])
    rewards = torch.full_like(advantages, torch.nan)
    for group in torch.arange(len(missing), device=missing.device).view(-1, num_generations):
        rows = group[~missing[group]]
        if len(rows):
            advantages[rows], rewards[rows] = _compute_advantages(
                rewards_per_func[rows],
                reward_weights,
                len(rows),
                scale_rewards="group" if scale_rewards == "group" else "none",
                kl_values=None if kl_values is None else kl_values[rows],
                **options,
            )
    there = ~missing
    if scale_rewards == "batch":
        spread = _spread((advantages if advantage_estimator == "reinforce_plus_plus" else rewards)[there])
        advantages = advantages / (spread + 1e-4)  # ms-swift's, as is the next
    elif scale_rewards == "gdpo" and advantage_estimator != "reinforce_plus_plus":
        parts = _normalised(rewards_per_func.masked_fill(missing.unsqueeze(1), torch.nan), num_generations)
        summed = (parts * reward_weights).sum(dim=1)
        advantages[there] = (summed[there] - summed[there].mean()) / (_spread(summed[there]) + 1e-8)
    return advantages, rewards


def _spread(values: torch.Tensor) -> torch.Tensor:
    return values.std() if values.numel() > 1 else torch.zeros_like(values.sum())


def _normalised(rewards_per_func: torch.Tensor, num_generations: int) -> torch.Tensor:
    """Each reward in units of its spread within a group; 0 where it says nothing."""
    groups = rewards_per_func.view(-1, num_generations, rewards_per_func.shape[1])
    centred = groups - torch.nanmean(groups, dim=1, keepdim=True)
    return torch.nan_to_num(centred / (nanstd(groups, dim=1, keepdim=True) + 1e-8), nan=0.0).view_as(rewards_per_func)


def compute_reward_metrics(
    rewards: torch.Tensor,
    rewards_per_func: torch.Tensor,
    reward_func_names: list[str],
    num_generations: int,
    scale_rewards: str,
) -> RewardMetrics:
    """ms-swift's figures of a step, over the completions that have a reward.

    Args:
        rewards: As in ms-swift, with missing ones not a number.
        rewards_per_func: As there; so are the other arguments.
        reward_func_names: Name of each column.
        num_generations: Completions of a group.
        scale_rewards: As in `compute_advantages`.
    """
    options = (rewards_per_func, reward_func_names, num_generations, scale_rewards)
    there = ~torch.isnan(rewards)
    if there.all():
        return _compute_reward_metrics(rewards, *options)
    groups = rewards.view(-1, num_generations)
    means = torch.nanmean(groups, dim=1)
    spreads = nanstd(groups, dim=1)
    spreads = spreads[~torch.isnan(spreads)]  # of groups in which two can be compared
    alike = torch.isclose(spreads, torch.zeros_like(spreads)).float()
    return replace(
        _compute_reward_metrics(torch.nan_to_num(rewards), *options),
        reward_mean=torch.nanmean(means).item(),
        reward_std=_spread(rewards[there]).item() if scale_rewards == "batch" else _mean(spreads, 0.0),
        frac_reward_zero_std=_mean(alike, 1.0),
    )


def _mean(values: torch.Tensor, without: float) -> float:
    return values.mean().item() if values.numel() else without


def _advantages(trainer: Any, samples: list[Any], rewards_per_func: torch.Tensor, batches: list[dict[str, Any]]) -> torch.Tensor:
    """Every process has the scores of all here, so all do the same."""
    missing = torch.isnan(rewards_per_func).any(dim=1)
    count = int(missing.sum())
    if LOCALIZABILITY in trainer.reward_func_names:
        counts = trainer._metrics["train" if trainer.model.training else "eval"][REFUSED_METRIC]
        counts[:] = [sum(counts) + count]  # ms-swift logs the mean of a step's figures, and this is a sum
    if count:
        _check(trainer, count, len(missing))
        leave_out(get_even_process_data(trainer, missing), batches)
    advantages = _advantages_of_trainer(trainer, samples, rewards_per_func, batches)
    for name, scores in trainer._logs["rewards"].items():
        told = (None if score is not None and math.isnan(score) else score for score in scores)
        trainer._logs["rewards"][name] = deque(told, maxlen=scores.maxlen)
    return advantages


def _check(trainer: Any, count: int, of: int) -> None:
    if count > MOST_MISSING * of:
        raise GlobeError(
            f"the reward service does not take {count} of {of} completions of a step, so there is too little to learn from; the "
            "log has its reason: where they are too long for it, raise serving.max_model_len or lower max_completion_length"
        )
    if trainer.dynamic_num_samples or trainer.template.sequence_parallel_size > 1:
        raise GlobeError(
            f"{count} completions have no score, and neither multi-turn nor sequence-parallel training can leave them out"
        )


def leave_out(missing: torch.Tensor, batches: list[dict[str, Any]]) -> None:
    """Take completions out of the loss.

    Args:
        missing: Whether each of this process's completions is to be left out.
        batches: The batches that they are in, in their order. All processes must call this.
    """
    parts = [batch["grpo_batch"] for batch in batches]
    for part, left_out in zip(parts, missing.split([len(part.completion_mask) for part in parts]), strict=True):
        part.completion_mask = part.completion_mask.masked_fill(left_out.unsqueeze(1), False)
    tokens = torch.stack([part.completion_mask.sum() for part in parts]).sum().float()
    total = gather(tokens.unsqueeze(0)).sum()
    for part in parts:
        part.num_items_in_batch = total


grpo_trainer.compute_advantages = compute_advantages
grpo_trainer.compute_reward_metrics = compute_reward_metrics
GRPOTrainer._compute_advantages = _advantages
