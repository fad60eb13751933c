"""The one line that a user sees of a training that failed."""

from globe.training.failure import tail


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
