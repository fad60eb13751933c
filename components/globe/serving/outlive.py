"""Hold an engine's end back until the gateway beside it is gone: ``python -m globe.serving.outlive PORT METRICS_PORT SECONDS``.

A pod's containers are told to end all at once. vLLM then refuses what is new, while the gateway still takes requests and has some
under way. So the engine's preStop runs this, after which the kubelet sends SIGTERM to vLLM.

A preStop also runs where the engine's container alone is to start again, as after a failed liveness probe. Then the gateway goes
on, and waiting for it would only take longer. A gateway that drains says so: it closes each connection after its answer.

It imports next to nothing, for it has to start while the machine is busy.
"""

import http.client
import socket
import sys
import time
from contextlib import suppress

from globe.console import tell

HOST = "127.0.0.1"
POLL_S = 0.25
NOTICE_S = 5.0
"""How long a gateway may take to know that it is to end: the kubelet tells both containers at nearly the same time."""
TIMEOUT_S = 2.0
"""For one answer: as long as the gateway may be busy without being gone."""


def wait(port: int, metrics_port: int, limit_s: float, *, notice_s: float = NOTICE_S) -> bool:
    """Wait until a gateway on this machine has ended.

    Args:
        port: Its own port, closed before it has finished what it took.
        metrics_port: Its metrics' port, open for as long as its process lives.
        limit_s: The longest.
        notice_s: How long it may take to begin to end.

    Returns:
        Whether it has ended; False if it is not about to, or takes longer.
    """
    started = time.monotonic()
    ending = False
    while is_open(metrics_port) or is_open(port):
        waited = time.monotonic() - started
        ending = ending or is_ending(port)
        if waited >= limit_s or (waited >= notice_s and not ending):
            return False
        time.sleep(POLL_S)
    return True


def is_open(port: int) -> bool:
    """Whether anything listens on a port of this machine."""
    try:
        with socket.create_connection((HOST, port), TIMEOUT_S):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:  # too busy to answer is not gone
        return True


def is_ending(port: int) -> bool:
    """Whether a gateway is about to end: its port is closed already, or it closes a connection that it could have kept."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return (connection.getresponse().getheader("connection") or "").lower() == "close"
    except ConnectionRefusedError:
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        with suppress(OSError):
            connection.close()


def main(arguments: list[str]) -> int:
    """The command line; exit code 0 whatever comes of it, for a container whose preStop fails ends just the same."""
    if len(arguments) != 3:
        tell("usage: python -m globe.serving.outlive PORT METRICS_PORT SECONDS")
        return 2
    wait(int(arguments[0]), int(arguments[1]), float(arguments[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
