"""What commands print, in real processes where a stream is closed or full."""

import io
import json
import subprocess
import sys
import time

import pytest

from globe import console
from globe.console import last_shown, one_line, printable, tell, to_json, waiting


def python(code: str, stdout: int | io.IOBase = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "ascii"}
    return subprocess.run([sys.executable, "-c", code], stdout=stdout, stderr=subprocess.PIPE, env=environment, timeout=60)


def test_lines_are_utf_8_whatever_the_terminals_encoding():
    done = python("from globe.console import emit; emit(['São Paulo', 'lone \\udc80'])")
    assert done.stdout.decode() == "São Paulo\nlone \\udc80\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full exists on Linux only")
def test_a_stdout_that_is_full_is_said_in_one_line():
    code = """
from globe.console import emit
from globe.errors import GlobeError
try:
    emit(["x"])
except GlobeError as error:
    raise SystemExit(f"told: {error}")
"""
    with open("/dev/full", "wb") as full:
        done = python(code, full)
    assert (done.returncode, done.stderr.decode().strip()) == (1, "told: stdout: cannot be written (No space left on device)")


def test_without_a_stderr_the_work_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    tell("nobody hears this")


def test_json_keeps_scripts_and_refuses_what_is_no_json():
    assert json.loads(to_json({"city": "東京"})) == {"city": "東京"}
    assert "東京" in to_json({"city": "東京"})
    hostile = {"answer": "\x1b[2J \x9b31m \x7f \u202e \u2028 \U000e0041 \ud83d"}
    told = to_json(hostile, indent=2)
    assert json.loads(told) == hostile
    assert all(line.isprintable() for line in told.split("\n"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"km": float("nan")})


def test_a_models_words_cannot_drive_the_terminal():
    assert one_line("Paris\n\x1b[2J  \u202eLyon") == "Paris Lyon"


def test_a_long_wait_says_so_until_something_else_is_heard(monkeypatch, capsys):
    monkeypatch.setattr(console, "PATIENCE_S", 1.0)
    with waiting("waiting for the server") as heard:
        time.sleep(2.5)
        assert "globe: waiting for the server for" in capsys.readouterr().err
        for _ in range(20):
            heard()
            time.sleep(0.1)
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("Task \x1b[96m'sft'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m", "Task 'sft' finished with status FAILURE"),
        (" 10%|#   |\r 50%|##  |\r100%|####|\r\n", "100%|####|"),
        ("    indented\tby a tab", "    indented by a tab"),
        ("größe 東京", "größe 東京"),
        ("\x07bell\x00", " bell "),
    ],
)
def test_a_line_of_a_log_is_shown_as_a_terminal_would_leave_it(printed, shown):
    assert last_shown(printed) == shown


ATTACK = "\x1b]52;c;aGFja2Vk\x07Paris \x9b31m\u202e\u2028\x1b[2J"


def test_what_is_printed_keeps_its_own_lines_and_columns_and_no_command_to_a_terminal():
    code = f"from globe.console import emit, say, tell; t = {ATTACK!r}; emit([t + '\\tx\\ny']); tell(t); say(t + '\\n  ' + t)"
    done = python(code)
    assert [line.split() for line in done.stdout.decode().split("\n")] == [["Paris", "x"], ["y"], []]
    assert "\tx" in done.stdout.decode()
    assert [line.split() for line in done.stderr.decode().splitlines()] == [["globe:", "Paris"], ["Paris"], ["Paris"]]
    assert not {0x1B, 0x07, 0x9B} & {*done.stdout, *done.stderr}


def test_no_commands_of_a_ci_system_are_printed_and_json_keeps_its_values():
    text = "x ##[set-output]y ##vso[task.setvariable variable=a]b"
    assert printable(text) == "x ## [set-output]y ## vso[task.setvariable variable=a]b"
    assert "##[" not in to_json(text)
    assert "##vso[" not in to_json(text)
    assert json.loads(to_json(text)) == text
