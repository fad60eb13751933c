"""A training that stands still is not waited for."""

import pytest

from globe.errors import GlobeError
from globe.training.control import Control
from globe.training.watchdog import Watchdog, innermost

STACKS = """Thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 327 in wait

Current thread 0x00007e (most recent call first):
  File "/venv/torch/distributed/distributed_c10d.py", line 3007 in all_reduce
  File "/venv/torch/distributed/c10d_logger.py", line 83 in wrapper
"""


def test_the_main_threads_innermost_call_is_named():
    assert innermost(STACKS) == "was in all_reduce (torch/distributed/distributed_c10d.py:3007)"
    assert innermost("") == "did not answer: it is stopped, or its machine hangs"


def test_each_finished_step_gives_the_next_one_as_long(tmp_path):
    control = Control(tmp_path)
    log = tmp_path / "log"
    control.beat(3)
    Watchdog(control, stall_s=3600).require_progress(log)
    with pytest.raises(GlobeError, match=r"the last was step 3; stall_s 0\): no process has said where it is"):
        Watchdog(control, stall_s=0).require_progress(log)


def test_a_training_that_never_takes_its_first_step_is_ended_too(tmp_path):
    with pytest.raises(GlobeError, match="not even the first"):
        Watchdog(Control(tmp_path), stall_s=0).require_progress(tmp_path / "log")
