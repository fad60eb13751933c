"""ms-swift plugin: measure GRPO on held-out rows as it goes, and keep its completions once each.

- Where `globe.training.held_out` names rows, the policy answers them before the first step, every so many steps and after the
  last one: greedily, as the evaluation asks it, with the engine that also samples (transformers or vLLM). ms-swift's own
  evaluation samples at the training's temperature, asks every reward and computes a loss. The mean reward is logged as
  `eval_NAME`, and the step is saved, so that each measurement has its checkpoint. Every generator of random numbers is put back
  afterwards: a training that is measured takes the same steps as one that is not.
- ms-swift appends the last rollout to completions.jsonl at every log, also at the one that sums up the training: here each is
  written once. What a killed training wrote beyond the step that it resumes from is cut off. The truth and the picture's file
  are added, without which nobody can say what an answer was about.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from swift.callbacks import TrainerCallback, callbacks_map
from swift.rlhf_trainers import GRPOTrainer
from transformers import Trainer

from globe.rewards import REWARDS
from globe.training.completions import COMPLETIONS_FILE, PICTURE, ROW, SHOWN_CALLBACK, forget_after
from globe.training.held_out import REWARD_VARIABLE, ROWS_VARIABLE, STEPS_VARIABLE
from globe.training.measured import PREFIX
from globe.training.random_numbers import same_random_numbers

_log_rollout, _prepare_metrics = GRPOTrainer._log_rollout, GRPOTrainer._prepare_metrics


class OncePerRollout:
    """Passes a table of completions on to ms-swift's writer if there was a rollout since the last one."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.is_new = False

    def append(self, table: dict[str, Any]) -> None:
        """Write a table, unless its rollout has been written."""
        if self.is_new:
            self._writer.append(table)
        self.is_new = False


@contextmanager
def greedy(trainer: Any) -> Iterator[None]:
    """Let a trainer's engine decode greedily, and at once: completions that were ordered ahead are not for us."""
    sampled, ahead, is_training = trainer.request_config, trainer.args.async_generate, trainer.model.training
    if ahead and trainer.train_queue in trainer._async_futures:
        trainer._wait_queue(trainer.train_queue)  # the engine gets new weights only after what it was asked with the old ones
    trainer.request_config = replace(sampled, temperature=0.0, logprobs=False)
    trainer.args.async_generate = trainer.async_generate = False
    try:
        yield
    finally:
        trainer.request_config = sampled
        trainer.args.async_generate = trainer.async_generate = ahead
        trainer.model.train(is_training)


def answers(trainer: Any, rows: list[dict[str, Any]]) -> list[str]:
    """The policy's greedy answers to some rows, in their order, on every process; each asks its share."""
    world, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index
    share = -(-len(rows) // world)
    padded = [index % len(rows) for index in range(share * world)]  # all processes ask equally often: they wait for each other
    mine = padded[rank::world]
    at_once = share if trainer.use_fast_infer else trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation
    said: list[tuple[int, str]] = []
    with greedy(trainer), same_random_numbers():
        for start in range(0, share, at_once):
            part = mine[start : start + at_once]
            samples = trainer._generate_completions(trainer.to_samples([rows[index] for index in part]))
            said += [(index, text_of(trainer, sample)) for index, sample in zip(part, samples, strict=True)]
    found = dict(gather_object(said))
    return [found[index] for index in range(len(rows))]


def text_of(trainer: Any, sample: Any) -> str:
    """A sample's completion as text, as the rewards see it."""
    content = sample.messages[-1]["content"]
    if isinstance(content, dict):
        content = content["token_ids"]
    return content if isinstance(content, str) else trainer.processing_class.decode(content, skip_special_tokens=True)


class Shown(TrainerCallback):
    """Measures the policy, and keeps the completions in order."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Read the held-out rows; forget the completions of steps that are taken again."""
        if state.is_world_process_zero:
            forget_after(Path(args.output_dir) / COMPLETIONS_FILE, state.global_step)
        path = os.environ.get(ROWS_VARIABLE, "")
        lines = Path(path).read_text(encoding="utf-8").splitlines() if path else []
        self._rows = [json.loads(line) for line in lines]
        if self._rows:
            self._steps, self._reward = int(os.environ[STEPS_VARIABLE]), os.environ[REWARD_VARIABLE]

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure what the training starts from."""
        if self._rows and state.global_step == 0:
            self._measure(control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure when it is due, and have the step saved."""
        if self._rows and (state.global_step % self._steps == 0 or state.global_step == state.max_steps):
            self._measure(control)
            control.should_save = True

    def _measure(self, control: Any) -> None:
        said = answers(self.trainer, self._rows)
        truths = [json.loads(row[ROW]) for row in self._rows]
        names = dict.fromkeys((self._reward, "format"))
        scores = {name: [REWARDS[name](text, truth).score for text, truth in zip(said, truths, strict=True)] for name in names}
        is_due = control.should_log  # the step's own log, which another log would call off
        # transformers' own: ms-swift's would write the step's rewards and completions, which are logged after this.
        Trainer.log(self.trainer, {f"{PREFIX}{name}": sum(values) / len(values) for name, values in scores.items()})
        control.should_log = is_due


def _log_rollout_with_truth(trainer: GRPOTrainer, samples: list[Any]) -> None:
    _log_rollout(trainer, samples)
    for name in (ROW, PICTURE):
        if all(name in sample.extra for sample in samples):
            kept = trainer._logs.setdefault(name, type(trainer._logs["prompt"])(maxlen=trainer.args.generation_batch_size))
            kept.extend(trainer._gather_and_flatten([sample.extra[name] for sample in samples], flatten_level=0))
    trainer.jsonl_writer.is_new = True


def _prepare_metrics_once(trainer: GRPOTrainer) -> None:
    _prepare_metrics(trainer)
    trainer.jsonl_writer = OncePerRollout(trainer.jsonl_writer)


GRPOTrainer._log_rollout = _log_rollout_with_truth
GRPOTrainer._prepare_metrics = _prepare_metrics_once
callbacks_map[SHOWN_CALLBACK] = Shown
