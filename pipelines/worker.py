"""The process in which KFP runs a pipeline locally: `python -m pipelines.worker RUN_FOLDER`."""

import json
import os
import signal
import sys
from pathlib import Path

from globe.processes import adopt_orphans, end_descendants, end_with_parent

JOB_FILE = "job.json"
TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    """Run the pipeline that the run's folder asks for, with its arguments; exit 0 when KFP says that it succeeded."""
    signal.signal(signal.SIGTERM, _terminate)
    adopt_orphans()
    end_with_parent()
    folder = Path(sys.argv[1])

    from kfp import local  # after the handlers: its import takes a while, and the parent may die meanwhile

    from pipelines.catalog import PIPELINES

    job = json.loads((folder / JOB_FILE).read_text())
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "kfp"), raise_on_error=True)
    pipeline = PIPELINES[job["pipeline"]].build()
    try:
        pipeline(**job["arguments"])
    finally:
        end_descendants()


def _terminate(*_: object) -> None:
    end_descendants()
    os._exit(TERMINATED)


if __name__ == "__main__":
    main()
