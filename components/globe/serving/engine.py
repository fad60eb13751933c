"""Run vLLM as the one process of a container: ``python -m globe.serving.engine -- vllm serve MODEL ...``.

vLLM 0.32 exits with code 0 when its engine or a worker is killed, which a cluster shows as "Completed". Here a server that ends
although nobody asked it to has failed, whatever its code. What the container is told, vLLM is told; what vLLM leaves ends, too.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from globe.console import tell
from globe.run.processes import adopt_orphans, end_descendants, tie_to_parent

FAILED, MISUSED, NOT_FOUND, BY_SIGNAL = 1, 2, 127, 128
"""Exit codes: a crash that calls itself a success; no command; no such command; killed by signal N gives 128 + N."""


def run(command: Sequence[str]) -> int:
    """Run a server until it ends, and pass SIGTERM and SIGINT on to it.

    Args:
        command: The server's command line.

    Returns:
        The exit code: the server's own, but 1 where it is 0 and nobody has asked the server to end.
    """
    adopt_orphans()  # as process 1 of a container, or to end what a killed server leaves
    asked: list[int] = []
    started: list[int] = []

    def pass_on(number: int, _: object) -> None:
        asked.append(number)
        if started:
            os.kill(started[0], number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    try:
        process = subprocess.Popen(command, preexec_fn=tie_to_parent)
    except OSError as error:
        tell(f"{command[0]}: cannot be run ({error.strerror})")
        return NOT_FOUND
    started.append(process.pid)
    for early in asked:  # it came while the server started
        os.kill(process.pid, early)
    code = _end_of(process)
    end_descendants()
    if asked or code:
        return code
    tell(f"{command[0]} ended although nobody asked it to; it says it succeeded, and has not")
    return FAILED


def _end_of(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a process, and collect all others that end meanwhile, as process 1 has to."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == process.pid:
            process.returncode = code = os.waitstatus_to_exitcode(status)  # Popen need not wait for it again
            return BY_SIGNAL - code if code < 0 else code


def main(arguments: Sequence[str]) -> int:
    """The command line: everything after `--` is the server's."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        tell("usage: python -m globe.serving.engine -- COMMAND [ARGUMENT ...]")
        return MISUSED
    return run(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
