"""ms-swift plugin: end a training that would otherwise get weights, rows or steps that nobody asked for.

- A resumed training starts from the checkpoint's weights. transformers 5 saves Qwen2.5-VL's weights under names that differ from
  the live model's, and its Trainer loads them with `strict=False`: no name matches, nothing is loaded, and the optimizer goes on
  with the base model. Here the class's own `from_pretrained`, which knows both names, reads them.
- Every load of weights must find all keys; see `globe.models.weights`.
- A training that is told to end saves first; see `globe.training.swift_control`.
- Only a whole checkpoint counts; see `globe.training.trainer_checkpoints`.
- Steps are counted: those before and after a resume must add up to the number asked for.
- The order of the rows depends on the seed and the epoch alone. trl's sampler draws each epoch's order from one generator, which
  starts anew in a resumed process and would repeat the first epoch's order.
- A loss that is not a number ends the training. The Trainer would log it as 0, the best loss there is.
- A row that cannot be encoded ends GRPO. ms-swift would replace it by a row that it draws from a source that no resume restores.
"""

import math
from pathlib import Path
from typing import Any

from peft import PeftModel
from swift.callbacks import TrainerCallback, callbacks_map
from swift.rlhf_trainers import GRPOTrainer
from transformers import PreTrainedModel, Trainer

from globe.errors import GlobeError
from globe.models.weights import require_adapter_keys, require_all_keys, require_same_keys, require_whole_model
from globe.training.swift_control import Stop, beat
from globe.training.trainer_checkpoints import CALLBACK, mark_whole, read_mark

SAMPLER = "globe_sampler"
"""Attribute in which a GRPO trainer keeps its sampler."""
_from_pretrained = PreTrainedModel.from_pretrained.__func__
_get_train_sampler = GRPOTrainer._get_train_sampler


def _from_pretrained_strictly(cls: Any, folder: Any, *args: Any, output_loading_info: bool = False, **options: Any) -> Any:
    model, info = _from_pretrained(cls, folder, *args, output_loading_info=True, **options)
    require_all_keys(info, folder)
    return (model, info) if output_loading_info else model


def _load_from_checkpoint(trainer: Trainer, resume_from_checkpoint: str, model: Any = None) -> None:
    """Load a checkpoint's weights into the trainer's model. (DeepSpeed does not call this: it loads its own, strictly.)"""
    model = model or trainer.model
    folder = resume_from_checkpoint
    if isinstance(model, PeftModel):
        (adapter,) = model.active_adapters
        require_adapter_keys(model, folder)
        model.load_adapter(folder, adapter, is_trainable=True)
        return
    if not isinstance(model, PreTrainedModel):
        raise GlobeError(f"{folder}: cannot load weights into a {type(model).__name__}")
    saved = type(model).from_pretrained(folder, dtype=model.dtype).state_dict()
    require_same_keys(model.state_dict(), saved, folder)
    model.load_state_dict(saved)


class Steps(TrainerCallback):
    """Counts steps, and marks whole checkpoints."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check that a resumed training is the one that made the checkpoint."""
        for option in ("save_only_model", "resume_only_model", "ignore_data_skip"):
            if getattr(args, option, False):
                raise GlobeError(f"{option}: with it a training could not be resumed exactly; leave it out")
        self._first, self._taken, self._stop = state.global_step, 0, Stop()
        beat(state.global_step)
        mark = read_mark(Path(args.resume_from_checkpoint)) if args.resume_from_checkpoint else None
        if mark and (mark.step, mark.max_steps, mark.processes) != (state.global_step, state.max_steps, args.world_size):
            raise GlobeError(
                f"{args.resume_from_checkpoint}: was made at step {mark.step} of {mark.max_steps} ({mark.processes} processes), "
                f"and the training would resume at step {state.global_step} of {state.max_steps} ({args.world_size} processes): "
                "the data, the recipe or the machine is not the one that it was made with"
            )

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Seed this epoch's order, so that it does not depend on how many epochs came before it in this process."""
        sampler = getattr(self.trainer, SAMPLER, None)
        if sampler is not None:
            sampler.generator.manual_seed(args.seed + int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the step, and end after it if that is asked for."""
        self._taken += 1
        beat(state.global_step)
        self._stop.heed(args, state, control)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """An evaluation goes on."""
        beat(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a checkpoint, which all processes have finished writing."""
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            if isinstance(self.trainer.model, PreTrainedModel) and not self.trainer.is_deepspeed_enabled:
                require_whole_model(checkpoint)  # not all who load it check; DeepSpeed would need every rank for this
            mark_whole(checkpoint, state.global_step, state.max_steps, args.world_size)
        beat(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Check that the training has not diverged."""
        for name in ("loss", "grad_norm", "reward"):
            value = (logs or {}).get(name, 0.0)
            if isinstance(value, float) and not math.isfinite(value):
                raise GlobeError(
                    f"the training diverged: {name} is {value} at step {state.global_step}; lower learning_rate or check the data"
                )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check that no step was skipped."""
        last = state.global_step if self._stop.stopped else state.max_steps
        if not self._first + self._taken == state.global_step == last:
            raise GlobeError(
                f"the training ended at step {state.global_step} of {state.max_steps}, and took {self._taken} steps after step "
                f"{self._first}: some were skipped"
            )


def _encode_every_row(trainer: GRPOTrainer, inputs: list[dict[str, Any]], *_: Any, **__: Any) -> list[dict[str, Any]]:
    for row in inputs:
        try:
            trainer.template.encode(row)
        except Exception as error:
            raise GlobeError(f"a row of the pool cannot be encoded ({row.get('picture', '')}): {error}") from error
    return inputs


def _remember_sampler(trainer: GRPOTrainer, *args: Any, **options: Any) -> Any:
    sampler = _get_train_sampler(trainer, *args, **options)
    setattr(trainer, SAMPLER, sampler)
    return sampler


PreTrainedModel.from_pretrained = classmethod(_from_pretrained_strictly)
Trainer._load_from_checkpoint = _load_from_checkpoint
GRPOTrainer.resample_encode_failed_inputs = _encode_every_row
GRPOTrainer._get_train_sampler = _remember_sampler
callbacks_map[CALLBACK] = Steps
