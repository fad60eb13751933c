"""ms-swift plugin: what would end in other weights, rows or steps than asked for ends the training instead.

- A resumed training goes on from the checkpoint's weights. transformers 5 writes Qwen2.5-VL's weights under other names than the
  live model has, and its Trainer loads them with `strict=False`: nothing fits, nothing is loaded, and the optimizer goes on over
  the base model. Here the class's own `from_pretrained`, which knows both names, reads them.
- Every load of weights must find all keys; see `globe.training.weights`.
- A checkpoint counts when it is whole; see `globe.training.trainer_checkpoints`.
- Steps are counted: those before a resume and those after it are as many as the training was to have, or it fails.
- A row that cannot be encoded ends GRPO. ms-swift would draw another in its place, from a source that no resume restores.
"""

from pathlib import Path
from typing import Any

from peft import PeftModel
from swift.callbacks import TrainerCallback, callbacks_map
from swift.rlhf_trainers import GRPOTrainer
from transformers import PreTrainedModel, Trainer

from globe.errors import GlobeError
from globe.training.trainer_checkpoints import CALLBACK, mark_whole, read_mark
from globe.training.weights import require_adapter_keys, require_all_keys, require_same_keys, require_whole_model

_from_pretrained = PreTrainedModel.from_pretrained.__func__


def _from_pretrained_strictly(cls: Any, folder: Any, *args: Any, output_loading_info: bool = False, **options: Any) -> Any:
    model, info = _from_pretrained(cls, folder, *args, output_loading_info=True, **options)
    require_all_keys(info, folder)
    return (model, info) if output_loading_info else model


def _load_from_checkpoint(trainer: Trainer, resume_from_checkpoint: str, model: Any = None) -> None:
    """Load a checkpoint's weights into the trainer's model. (DeepSpeed loads its own, strictly, and does not come here.)"""
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
    """Counts steps, and marks checkpoints that are whole."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check that a resumed training is the one that the checkpoint is of."""
        for option in ("save_only_model", "resume_only_model", "ignore_data_skip"):
            if getattr(args, option, False):
                raise GlobeError(f"{option}: a training with it could not go on from its checkpoints; leave it out")
        self._first, self._taken = state.global_step, 0
        mark = read_mark(Path(args.resume_from_checkpoint)) if args.resume_from_checkpoint else None
        if mark and (mark.step, mark.max_steps) != (state.global_step, state.max_steps):
            raise GlobeError(
                f"{args.resume_from_checkpoint}: was made at step {mark.step} of {mark.max_steps}, and the training would go on "
                f"at step {state.global_step} of {state.max_steps}: the data or the recipe are not those it was made with"
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count."""
        self._taken += 1

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a checkpoint that every process has written to its end."""
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            if isinstance(self.trainer.model, PreTrainedModel) and not self.trainer.is_deepspeed_enabled:
                require_whole_model(checkpoint)  # who loads it next may not look; under DeepSpeed every rank would have to
            mark_whole(checkpoint, state.global_step, state.max_steps)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check that no step was left out."""
        if not self._first + self._taken == state.global_step == state.max_steps:
            raise GlobeError(
                f"the training ended at step {state.global_step} of {state.max_steps}, and took {self._taken} steps after step "
                f"{self._first}: steps were left out"
            )


def _encode_every_row(trainer: GRPOTrainer, inputs: list[dict[str, Any]], *_: Any, **__: Any) -> list[dict[str, Any]]:
    for row in inputs:
        try:
            trainer.template.encode(row)
        except Exception as error:
            raise GlobeError(f"a row of the pool cannot be encoded ({row.get('picture', '')}): {error}") from error
    return inputs


PreTrainedModel.from_pretrained = classmethod(_from_pretrained_strictly)
Trainer._load_from_checkpoint = _load_from_checkpoint
GRPOTrainer.resample_encode_failed_inputs = _encode_every_row
callbacks_map[CALLBACK] = Steps
