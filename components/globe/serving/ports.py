"""Ports of servers on this machine: one that nobody else gets, and whether its server answers yet.

vLLM listens only after half a minute of imports; until then its port looks free to everybody else, another run of ours included.
So the number is locked, for as long as any process has the lock, however that process ends.
"""

import socket
import urllib.request
from urllib.error import URLError

HOST = "127.0.0.1"
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


def is_ready(url: str) -> bool:
    """Ask a server whether it is healthy.

    Args:
        url: Its base URL, which ends in /v1.

    Returns:
        True when it answers that it is.
    """
    try:
        with _OPENER.open(url.removesuffix("/v1") + "/health", timeout=HEALTH_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False
