"""`globe lmms-eval` says where lmms-eval finds globe's tasks. `tests/integration/test_lmms_eval.py` runs the real lmms-eval."""

from pathlib import Path

from command_line import globe


def test_the_path_is_printed_alone_and_holds_the_tasks():
    done = globe("lmms-eval")
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    assert {"globe.yaml", "globe_im2gps3k.yaml", "globe_mp16_reason_test.yaml"} <= {path.name for path in Path(line).iterdir()}
