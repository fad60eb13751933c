"""How a port is closed without a connection being lost.

A connection is made by the kernel, which keeps it until the process accepts it. Whoever closes a port resets those that were made
a moment ago, and on a busy machine a moment is long. So the kernel is first told to take no more of them: whoever connects from
then on is not answered, and refused when the port is closed, a second later. Those that have been made are accepted meanwhile.
"""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import sys

_ATTACH_FILTER = 26  # Linux: SO_ATTACH_FILTER, which Python has no name for
_FLAGS_AT, _SYN, _ACK = 13, 0x02, 0x10
"""Where a TCP header's flags are, and two of them."""
_LOAD_BYTE, _AND, _IS, _RETURN = 0x30, 0x54, 0x15, 0x06
_PROGRAM = (
    (_LOAD_BYTE, 0, 0, _FLAGS_AT),
    (_AND, 0, 0, _SYN | _ACK),
    (_IS, 0, 1, _SYN),  # SYN without ACK asks for a new connection
    (_RETURN, 0, 0, 0),  # and is dropped
    (_RETURN, 0, 0, 0xFFFFFFFF),  # all else passes, such as what completes one that has been begun
)
"""A classic BPF program: operation, jumps if true and if false, operand (Linux, Documentation/networking/filter.rst)."""


def take_no_more(listener: socket.socket) -> bool:
    """Have the kernel make no new connections to a listening port, and keep those that it has made.

    Returns:
        Whether it does; other systems than Linux may not.
    """
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _PROGRAM))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), ctypes.addressof(program)))
    except OSError:
        return False
    return True


def something_waits(found: socket.socket) -> bool:
    """Whether the kernel has something that the process has not taken yet: a connection, or bytes of one."""
    if found.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(found.fileno(), select.POLLIN)
    return bool(poll.poll(0))
