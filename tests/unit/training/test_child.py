"""The trainer's processes, and the folder by which the stage talks with them."""

import sys

import pytest

from globe.training.child import run

LOOK = "import os, pathlib, sys; sys.exit(7 if (pathlib.Path(os.environ['GLOBE_TRAINING']) / 'stop').exists() else 0)"


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_call_that_joins_a_training_takes_back_what_an_earlier_one_asked_before_it_was_killed(tmp_path, goes_on):
    shared = tmp_path / "control"
    shared.mkdir()
    (shared / "stop").touch()
    (shared / "beat").write_text("3")
    with (tmp_path / "lock").open("w") as lock:
        told = run(
            [sys.executable, "-c", LOOK],
            {},
            stage="sft",
            name="swift sft",
            output=tmp_path,
            log=tmp_path / "log",
            lock=lock.fileno(),
            stall_s=1e9,
            turn=lambda: None,
            shared=shared,
            goes_on=goes_on,
        )
    assert not told
    assert (shared / "beat").exists() == goes_on
