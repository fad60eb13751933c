"""What a stage tells a tracking server, if its environment names one: so far MLflow (`globe.run.mlflow_record`)."""

from collections.abc import Mapping, Sequence
from typing import Any

URI_VARIABLE, RUN_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"
"""MLflow's server, and the run there that is this task's. Without both, nothing is recorded, and nothing for it is imported."""


class Record:
    """What a task tells of itself; here, where there is no MLflow, nothing."""

    def step(self, step: int, steps: int, values: Mapping[str, Any]) -> None:
        """Record the figures of a training's step, soon.

        Args:
            step: The step, from 1.
            steps: How many there will be.
            values: Figures by name; what is no finite number is left out.
        """

    def finish(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        figures: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        curve: Sequence[Mapping[str, Any]] = (),
        parent_tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record what is known once the work is done, and wait until the server has it or its time is over.

        Args:
            params: What decided the result; nested mappings get dotted names.
            figures: Final figures, likewise.
            tags: Texts that tell what the run is.
            curve: Everything that was logged at each step, with key `step`.
            parent_tags: Tags for the run above this one, the pipeline's.
        """

    def close(self) -> None:
        """Send what still waits, of a training that has failed, unless the server is away."""
