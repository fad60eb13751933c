"""A server of ours as a process of its own on this machine, for the length of a block."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError
from globe.run.processes import tie_to_parent

END_WITH_STDIN = "--end-with-stdin"
"""Option with which such a server is started: it then calls `end_with_stdin`."""
PATIENCE_S = 5.0
"""How long it may take to end."""


@contextmanager
def local_server(
    what: str, module: str, arguments: Sequence[str], *, start_s: float, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Run `python -m MODULE` while the block runs.

    The process ends with the block, and with this process however that ends: on Linux by a signal, elsewhere by its closed stdin,
    which a forked child of this process may keep open. What it says on stderr is said here.

    Args:
        what: The server, for messages: a plural.
        module: What to run. It prints one line of JSON when it listens.
        arguments: Its options.
        start_s: How long that may take.
        environment: Its environment [this process's own].

    Yields:
        What it has printed.

    Raises:
        InputError: It says that what it was given is wrong.
        GlobeError: It does not start for another reason, or not in time.
    """
    given = os.environ if environment is None else environment
    package_root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments, END_WITH_STDIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**given, "PYTHONPATH": os.pathsep.join(filter(None, [package_root, given.get("PYTHONPATH")]))},
        start_new_session=True,  # Ctrl-C is to reach this process only, which then leaves the block and ends the server
        preexec_fn=tie_to_parent,
    )
    try:
        yield _announced(process, what, start_s)
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def _announced(process: "subprocess.Popen[str]", what: str, start_s: float) -> dict[str, Any]:
    assert process.stdout is not None
    alarm = threading.Timer(start_s, process.kill)
    alarm.start()
    try:
        line = process.stdout.readline()
    finally:
        alarm.cancel()
    if not line:
        code = process.wait()
        kind = InputError if code == 2 else GlobeError
        raise kind(f"{what} did not start (exit status {code}); see their error above")
    return dict(json.loads(line))


def end_with_stdin() -> None:
    """End this process when nobody holds the other end of its stdin any more."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
