"""A port for a server that is told which to take."""

import socket


def held_port() -> socket.socket:
    """A bound socket: the kernel gives its port to nobody who asks for any, and a server that is told the port can have it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held
