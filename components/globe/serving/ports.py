"""Ports for servers that listen late.

vLLM listens only after half a minute of imports; until then its port looks free to everybody else, another run of ours included.
So the number is locked, for as long as any process has the lock, however that process ends.
"""

import socket

HOST = "127.0.0.1"


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

    It is an abstract socket: the kernel frees its name with the last process that has it, no file is left anywhere, and it is
    one for all users of the machine, as ports are.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0globe-port-{port}")
    except OSError:
        lock.close()
        return None
    return lock
