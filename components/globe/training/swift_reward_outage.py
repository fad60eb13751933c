"""ms-swift plugin: where scores cannot be had, GRPO is saved as it was after its last step, and ends with the reason.

Scores are asked for before a step, each process for its own completions. So when one of them gives up, all must learn of it:
they would wait for its scores, and a checkpoint needs all of them. What is saved is just what would have been saved at the end of
the last step, so a training that goes on from it ends as one that never had to stop; only the random numbers that the lost
completions took have to be given back for that.
"""

from typing import Any

import torch
from accelerate.utils import gather_object
from swift.callbacks import TrainerCallback, callbacks_map
from swift.rlhf_trainers import GRPOTrainer, grpo_trainer

from globe.errors import GlobeError
from globe.training.grpo_arguments import OUTAGE_CALLBACK
from globe.training.random_numbers import random_states, restore
from globe.training.swift_control import ends_a_rollout

LAST_STEP = "globe_last_step"
"""Attribute in which a trainer keeps its callback."""
_score_completions = grpo_trainer.score_completions
_compute_rewards = GRPOTrainer._compute_rewards_per_func


class LastStep(TrainerCallback):
    """What a checkpoint of the last step needs and the trainer does not keep."""

    def __init__(self, args: Any, trainer: Any) -> None:
        """Be known to the trainer."""
        super().__init__(args, trainer)
        self.random: dict[str, Any] = {}
        """States of the random generators after the last step; empty before the first step of this process."""
        self.saved_step = -1
        setattr(trainer, LAST_STEP, self)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the states."""
        self.random = random_states()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep which step is saved already."""
        self.saved_step = state.global_step


def save_last_step(trainer: Any) -> None:
    """Save the trainer as it was after its last step. All processes must call this.

    Not where that step is saved already, nor where it lies within a rollout: no checkpoint holds completions that are still to be
    trained on.
    """
    last, state, args = getattr(trainer, LAST_STEP), trainer.state, trainer.args
    if not last.random or last.saved_step == state.global_step or not ends_a_rollout(args, state.global_step):
        return
    restore(last.random)
    trainer._save_checkpoint(trainer.model, trial=None)
    trainer.control = trainer.callback_handler.on_save(args, state, trainer.control)


def _scores_or_end(*args: Any, **options: Any) -> torch.Tensor:
    scores, reason = None, ""
    try:
        scores = _score_completions(*args, **options)
    except GlobeError as error:
        reason = str(error)
    reasons = [told for told in gather_object([reason]) if told]
    if scores is None or reasons:
        raise GlobeError(reasons[0])
    return scores


def _rewards_or_save(trainer: Any, samples: list[Any]) -> torch.Tensor:
    try:
        return _compute_rewards(trainer, samples)
    except GlobeError:
        save_last_step(trainer)
        raise


grpo_trainer.score_completions = _scores_or_end
GRPOTrainer._compute_rewards_per_func = _rewards_or_save
callbacks_map[OUTAGE_CALLBACK] = LastStep
