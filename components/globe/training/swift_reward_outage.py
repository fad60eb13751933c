"""ms-swift plugin: where scores cannot be had, GRPO is saved as it was after its last step, and ends with the reason.

Scores are asked for before a step, each process for its own completions. So when one of them gives up, all must learn of it:
they would wait for its scores, and a checkpoint needs all of them. What is saved is just what would have been saved at the end of
the last step, so a training that goes on from it ends as one that never had to stop; only the random numbers that the lost
completions took have to be given back for that.
"""

import random
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from swift.callbacks import TrainerCallback, callbacks_map
from swift.rlhf_trainers import GRPOTrainer, grpo_trainer

from globe.errors import GlobeError
from globe.training.grpo_arguments import OUTAGE_CALLBACK

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


def random_states() -> dict[str, Any]:
    """States of all generators that a checkpoint holds, on the devices that this process uses."""
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore(states: dict[str, Any]) -> None:
    """Set the generators to states that `random_states` gave."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def save_last_step(trainer: Any) -> None:
    """Save the trainer as it was after its last step. All processes must call this.

    Not where that step is saved already, nor where it lies within a rollout: no checkpoint holds completions that are still to be
    trained on.
    """
    last, state, args = getattr(trainer, LAST_STEP), trainer.state, trainer.args
    rollout = trainer.num_iterations * args.steps_per_generation
    if not last.random or last.saved_step == state.global_step:
        return
    if state.global_step * args.gradient_accumulation_steps % rollout:
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
