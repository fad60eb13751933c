"""The trainer's processes, and the folder by which the stage talks with them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from globe.training.child import run

LOOK = "import os, pathlib, sys; sys.exit(7 if (pathlib.Path(os.environ['GLOBE_TRAINING']) / 'stop').exists() else 0)"


SAY = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


def trained(folder: Path, code: str, *arguments: str, environment: dict[str, str] | None = None, **more: Any) -> bool:
    with (folder / "lock").open("w") as lock:
        return run(
            [sys.executable, "-c", code, *arguments],
            environment or {},
            stage="sft",
            name="swift sft",
            output=folder,
            log=folder / "log",
            lock=lock.fileno(),
            stall_s=1e9,
            turn=lambda: None,
            **more,
        )


def test_a_trainer_gets_the_command_and_the_environment_that_the_stage_made_so_what_starts_it_decides_no_result(tmp_path):
    given = {"OMP_NUM_THREADS": "3", "LC_CTYPE": "C.UTF-8"}  # Python itself sets the second where it is missing
    trained(tmp_path, SAY, "--seed", "7", environment=given)
    arguments, environment = json.loads((tmp_path / "log").read_text())
    assert arguments == ["--seed", "7"]
    assert environment.pop("GLOBE_TRAINING").startswith("/")
    assert environment == given


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_call_that_joins_a_training_takes_back_what_an_earlier_one_asked_before_it_was_killed(tmp_path, goes_on):
    shared = tmp_path / "control"
    shared.mkdir()
    (shared / "stop").touch()
    (shared / "beat").write_text("3")
    assert not trained(tmp_path, LOOK, shared=shared, goes_on=goes_on)
    assert (shared / "beat").exists() == goes_on
