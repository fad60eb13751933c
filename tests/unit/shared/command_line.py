"""The command `globe` as tests call it."""

import io
import subprocess
import sys

from globe.cli.app import main

SAID_BEFORE = (
    "globe: asked with", "globe: served with", "globe: serving it", "globe: starting vLLM", "globe: this is the demo's model",
    "globe: curation recipe", "globe: looking at the weights", "[",
)  # fmt: skip
"""Starts of lines that a command says before its work."""


def globe(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """The command in this process, with its own streams: what :func:`main` prints and the code it ends with."""
    streams = [io.TextIOWrapper(io.BytesIO(given), encoding="utf-8") for given in (stdin, b"", b"")]
    saved, code = (sys.stdin, sys.stdout, sys.stderr, sys.argv), 0
    sys.stdin, sys.stdout, sys.stderr, sys.argv = (*streams, ["globe", *arguments])  # type: ignore[assignment]
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdin, sys.stdout, sys.stderr, sys.argv = saved
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode() for stream in streams[1:])  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(["globe", *arguments], code, out, err)


def globe_process(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    result = subprocess.run([sys.executable, "-m", "globe.cli", *arguments], input=stdin, capture_output=True, timeout=120)
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout.decode(), result.stderr.decode())


def refused(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that holds the parts."""
    ended(result, 2, *parts)


def ended(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """The exit code, nothing on stdout, one line on stderr, beside what was said before, that holds the parts."""
    assert (result.returncode, result.stdout) == (code, ""), result
    assert "Traceback" not in result.stderr, result.stderr
    said = result.stderr.splitlines()
    last = said[-1]
    assert len([line for line in said if not line.startswith(SAID_BEFORE)]) == 1, result.stderr
    for part in parts:
        assert part in last, last
