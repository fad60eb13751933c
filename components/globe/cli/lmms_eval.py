"""`globe lmms-eval`: where lmms-eval finds globe's tasks."""

from __future__ import annotations

from globe.console import emit


def lmms_eval() -> None:
    """Print where globe's tasks for lmms-eval are.

    lmms-eval --include_path "$(globe lmms-eval)" --tasks globe --log_samples ... evaluates any model that lmms-eval runs, on the
    data set that GLOBE_DATASET names. `globe score` reads the samples file that it writes.
    """
    from globe.evaluation.lmms_tasks import INCLUDE_PATH

    emit([str(INCLUDE_PATH)])


COMMANDS = (lmms_eval,)
