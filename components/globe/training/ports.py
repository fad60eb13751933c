"""Ports at which a training's processes talk to each other on this machine."""

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
