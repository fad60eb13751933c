"""Ports of servers on this machine: one that nobody else gets, and whether its server answers yet.

vLLM listens only after half a minute of imports; until then its port looks free to everybody else, another run of ours included.
So the number is locked, for as long as any process has the lock, however that process ends.
"""

import socket
import time
import urllib.request
from collections.abc import Callable
from urllib.error import URLError

from globe.errors import GlobeError

HOST = "127.0.0.1"
POLL_S = 0.5
HEALTH_TIMEOUT_S = 5.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a run's servers are never behind a proxy


def claim_port() -> tuple[int, socket.socket]:
    """A free port of this machine, and the lock on its number.

    Returns:
        The port, and a lock to keep, or to let the server inherit, for as long as it lives; closing it gives the port back.
    """
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        lock = lock_port(port)
        if lock:
            return port, lock


def lock_port(port: int) -> socket.socket | None:
    """The lock on a port's number; None while another process has it.

    It is an abstract socket: the kernel frees its name when the last process that has it ends, it leaves no file, and all users
    of the machine share the names, as they share ports.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0globe-port-{port}")
    except OSError:
        lock.close()
        return None
    return lock


def is_ready(url: str, path: str = "/health") -> bool:
    """Ask a server whether it is healthy.

    Args:
        url: Its base URL, which ends in /v1.
        path: Where it says so; a gateway says at /ready that an answer has been proven.

    Returns:
        True when it answers that it is.
    """
    try:
        with _OPENER.open(url.removesuffix("/v1") + path, timeout=HEALTH_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False


def await_ready(name: str, url: str, timeout_s: float, log: str, require_alive: Callable[[], None]) -> None:
    """Wait until a server answers.

    Args:
        name: The model that it serves.
        url: Its base URL, which ends in /v1.
        timeout_s: How long it may take.
        log: Where it logs, for the user.
        require_alive: Raises when it has ended.

    Raises:
        GlobeError: It has ended, or was not ready in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        require_alive()
        if is_ready(url):
            return
        time.sleep(POLL_S)
    raise GlobeError(f"the vLLM server for {name} was not ready within {timeout_s:.0f} s (log: {log})")
