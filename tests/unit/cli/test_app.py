"""The command `globe` as a whole: its help, its exit codes, and what it does where nothing can be printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_inputs import ROW
from command_line import globe, globe_process, refused


def test_bad_input_ends_a_real_process_with_code_2_too(tmp_path: Path) -> None:
    refused(globe_process("reward", str(tmp_path / "no.jsonl")), "no.jsonl", "no such file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(("to", "reason"), [(">/dev/full", "No space left"), (">&-", "stdout is closed")])
def test_output_that_cannot_be_written_is_one_line_and_code_1(tmp_path: Path, to: str, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    command = f'exec "$0" -m globe.cli reward "$1" --json {to}'
    result = subprocess.run(["/bin/sh", "-c", command, sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_command_starts_without_importing_anything_heavy() -> None:
    heavy = "{'numpy', 'torch', 'pandas', 'kfp', 'swift', 'geopy', 'pydantic'}"
    script = f"import sys, globe.cli.app; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_list_of_commands_says_what_each_does_in_a_whole_sentence() -> None:
    commands = globe("--help").stdout.partition("Commands:\n")[2].strip().splitlines()
    assert len(commands) > 5
    assert [line for line in commands if not line.endswith(".") or line.endswith("..")] == []


def test_an_error_of_the_machine_that_nobody_expected_is_one_line_and_code_1(tmp_path: Path) -> None:
    """The cache folder's file system is full when the gazetteer is to be built there."""
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); from globe.cli.app import main; main()"
    )
    command = [sys.executable, "-c", script, "geocode", "Paris, France"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"GLOBE_CACHE_DIR": str(tmp_path)}
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert "File too large" in result.stderr.splitlines()[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(("to", "reason", "more"), [(">/dev/full", "No space left", ["--json"]), (">&-", "stdout is closed", [])])
def test_results_that_cannot_be_printed_are_one_line_and_code_1(model, dataset, photo, tmp_path, to, reason, more):
    where = ["--dataset", str(dataset), "--out", str(tmp_path / "o")]
    for arguments in (
        ["locate", str(photo), "--url", model.url],
        ["evaluate", "--url", model.url, "--model", model.name, *where],
    ):
        shell = ["/bin/sh", "-c", f'exec "$0" -m globe.cli "$@" {to}', sys.executable, *arguments, *more]
        result = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 1
        assert reason in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr
    assert (tmp_path / "o" / "report.html").is_file()
