"""Watches GRPO while it runs: tells what is measured on held-out rows and what goes wrong, and writes pages of samples."""

from pathlib import Path
from typing import Any

from globe.run.events import Reporter
from globe.training.alarms import alarms
from globe.training.measured import PREFIX, best_first, measured_name, value_at
from globe.training.runs import History, StepCallback
from globe.training.samples import Samples
from globe.training.trainer_checkpoints import read_history


class Watch:
    """A callback for each step that the trainer logs."""

    def __init__(self, output: Path, samples: Samples, reporter: Reporter, also: StepCallback) -> None:
        """Set up.

        Args:
            output: The trainer's output folder, with the checkpoint that it resumes from.
            samples: Writes the pages of samples.
            reporter: Is told each measurement and each alarm, once.
            also: Another callback, which is told of each step.
        """
        self._output, self._samples, self._reporter, self._also = output, samples, reporter, also
        self._history: History | None = None
        self._told = 0

    def __call__(self, step: int, steps: int, values: dict[str, Any]) -> None:
        """Take in what was logged at a step."""
        self._also(step, steps, values)
        if self._history is None:
            self._history = self._before(step)
            self._told = len(alarms(self._history))
        self._history.append({**values, "step": step})
        if measured_name([values]):
            self._tell_measurement(step, self._history)
        raised = alarms(self._history)
        for alarm in raised[self._told :]:
            self._reporter.note(f"alarm at step {alarm.step}: {alarm.text}")
        self._told = len(raised)
        self._samples.write_due()

    def _before(self, step: int) -> History:
        """What was logged before the steps of this call; every step is logged, so the one before was saved."""
        resumed = self._output / f"checkpoint-{step - 1}"
        return read_history(resumed) if resumed.is_dir() else []

    def _tell_measurement(self, step: int, history: History) -> None:
        name = measured_name(history).removeprefix(PREFIX)
        best = best_first(history)[:1]
        so_far = f"; best so far {value_at(history, best[0]):.3f} at step {best[0]}" if best else ""
        self._reporter.note(f"held-out {name} at step {step}: {value_at(history, step):.3f}{so_far}")
