"""The one line that a user sees of a training that failed."""

import pytest

from globe.training.control import Control
from globe.training.failure import reason, tail

SUMMARY = """Traceback (most recent call last):
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
Failures:
[1]:
  time      : 2026-11-30_06:34:52
  rank      : 0 (local_rank: 0)
  exitcode  : {0}
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-30_06:34:52
  rank      : 1 (local_rank: 1)
  exitcode  : {1}
============================================================
"""


def test_the_tail_of_a_log_starts_where_this_call_did_and_is_one_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("an older failure\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("killed by the kernel\n\nfor want of memory\n")
    assert tail(log, start) == "killed by the kernel | for want of memory"
    with log.open("a") as file:
        file.write("Traceback\n  File x\nOSError: image file is truncated\n\nmore words\n")
    assert tail(log, start) == "OSError: image file is truncated"


def test_our_own_error_is_told_without_the_traceback_around_it(tmp_path):
    log = tmp_path / "log"
    log.write_text("Traceback\n  File x\nglobe.errors.GlobeError: missing key a.b\n\nmore words\n")
    assert tail(log) == "missing key a.b"


def test_an_error_that_no_process_has_told_is_found_above_torchruns_summary(tmp_path):
    log = tmp_path / "log"
    log.write_text("Traceback\nValueError: unknown argument\n" + SUMMARY.format("-15 (pid: 7)  (SIGTERM)", "1 (pid: 8)"))
    assert reason(log, 0, Control(tmp_path), tmp_path) == "ValueError: unknown argument"


def test_of_several_processes_the_first_to_fail_is_shown(tmp_path):
    control = Control(tmp_path)
    control.tell_failure(2, "ValueError: row 17\nhas no picture")
    control.tell_failure(0, "RuntimeError: Connection closed by peer")
    (tmp_path / "log").touch()
    assert reason(tmp_path / "log", 0, control, tmp_path) == "rank 2: ValueError: row 17 has no picture"


def test_a_process_that_was_killed_is_shown_and_not_the_one_that_missed_it(tmp_path):
    control, log = Control(tmp_path), tmp_path / "log"
    control.tell_failure(0, "RuntimeError: Connection closed by peer [127.0.0.1]:1")
    log.write_text(SUMMARY.format("1 (pid: 7)", "-9 (pid: 8)"))
    assert reason(log, 0, control, tmp_path) == "rank 1 was ended by SIGKILL, perhaps for want of memory"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ("AcceleratorError: CUDA error: uncorrectable ECC error encountered", "a GPU has failed or is gone"),
        ("RuntimeError: CUDA error: unspecified launch failure", "a GPU has failed or is gone"),
        ("RuntimeError: No CUDA GPUs are available; no CUDA-capable device is detected", "a GPU has failed or is gone"),
        ("RuntimeError: [gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 25000ms", "longer than ddp_timeout"),
        ("OSError: [Errno 30] Read-only file system: '/out/checkpoint-3'", "may not write there"),
        ("OSError: [Errno 28] No space left on device", "make room"),
        ("SafetensorError: I/O error: No space left on device (os error 28)", "make room"),
        ("RuntimeError: [enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0", "make room"),
    ],
)
def test_what_an_error_means_is_said_beside_it(tmp_path, error, meaning):
    (tmp_path / "log").write_text(f"{error}\n")
    told = reason(tmp_path / "log", 0, Control(tmp_path), tmp_path)
    assert told.startswith(error)
    assert meaning in told


def test_an_error_that_speaks_for_itself_is_left_alone(tmp_path):
    (tmp_path / "log").write_text("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n")
    told = reason(tmp_path / "log", 0, Control(tmp_path), tmp_path)
    assert told == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


def test_a_collective_that_nccl_has_given_up_is_shown_before_what_follows_from_it(tmp_path):
    line = "[rank1]:[E1130 ProcessGroupNCCL.cpp:607] Watchdog caught collective operation timeout: WorkNCCL(OpType=ALLREDUCE)"
    (tmp_path / "log").write_text(f"{line}\nRuntimeError: process group has NOT been destroyed\n")
    told = reason(tmp_path / "log", 0, Control(tmp_path), tmp_path)
    assert told.startswith(line)
    assert "longer than ddp_timeout" in told
