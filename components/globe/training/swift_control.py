"""What each process of a training does for its stage: see `globe.training.control`. `globe.training.swift_strict` uses it.

- It tells its own error. torchrun shows a summary of all processes instead, and what the first to fail said is anywhere above.
- On SIGUSR1 it writes where it is.
- It ends with its parent. A torchrun that is killed would leave its workers on the GPUs.
- It ends after a step when the stage asks for it, with a checkpoint.
"""

import faulthandler
import os
import signal
import sys
from typing import Any

import torch

from globe.errors import GlobeError
from globe.run.processes import end_with_parent
from globe.training.control import Control, current


class Stop:
    """Whether the training is to end after a step. All processes must agree, for a save is the work of all."""

    def __init__(self) -> None:
        self.stopped = False
        self._control = current()

    def heed(self, args: Any, state: Any, control: Any) -> None:
        """Save and end, if the stage asks for it and the step can be resumed from."""
        if self._control is None or not ends_a_rollout(args, state.global_step) or not _is_asked(self._control, args):
            return
        self.stopped = state.global_step < state.max_steps
        control.should_save = control.should_training_stop = True
        control.should_log = True  # logged figures are means since the last log, and the resumed training begins anew


def beat(step: int) -> None:
    """Tell that the training goes on."""
    if told := current():
        told.beat(step)


def ends_a_rollout(args: Any, step: int) -> bool:
    """A checkpoint holds no completions: one made while some are still to be trained on allows no exact resume."""
    batches = getattr(args, "steps_per_generation", None) or args.gradient_accumulation_steps
    rollout = batches * getattr(args, "num_iterations", 1)
    return bool(step * args.gradient_accumulation_steps % rollout == 0)


def _is_asked(control: Control, args: Any) -> bool:
    asked = control.is_asked_to_stop()
    if not torch.distributed.is_initialized():
        return asked
    one = torch.tensor([asked], dtype=torch.int32, device=args.device)
    torch.distributed.all_reduce(one, op=torch.distributed.ReduceOp.MAX)
    return bool(one.item())


def _tell(control: Control) -> None:
    """Have this process tell its error, and where it is when it is asked."""
    rank, shown = int(os.environ.get("RANK", "0")), sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        control.tell_failure(rank, str(error) if isinstance(error, GlobeError) else f"{kind.__name__}: {error}")
        shown(kind, error, trace)

    sys.excepthook = tell
    faulthandler.register(signal.SIGUSR1, file=control.stacks_file(rank, os.getpid()).open("w"))


if told := current():
    _tell(told)
    end_with_parent()
