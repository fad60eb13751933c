"""Keep a run's processes together: whatever ends the run, nothing of it goes on.

Two processes supervise a run: the one the user started, which shows the live view, and the worker, in which KFP runs. Both
are "child subreapers": a process whose parent has ended, such as a server whose pipeline task is over, becomes their child
instead of getting lost. Each ends all its descendants before it ends itself; the worker is told by the kernel when the
user's process dies, and that one sees when the worker does. So even SIGKILL of either leaves nothing behind.
"""

import ctypes
import os
import signal
import sys

import psutil

from globe.serving.process import end_processes, has_ended

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux; elsewhere nothing happens)."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent ends, however it ends (Linux; elsewhere nothing happens)."""
    parent = os.getppid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the call above
        os.kill(os.getpid(), signal.SIGTERM)


def end_descendants() -> int:
    """End every descendant of this process, those included that appear meanwhile.

    Returns:
        How many there were.
    """
    count = 0
    while processes := [child for child in psutil.Process().children(recursive=True) if not has_ended(child)]:
        count += len(processes)
        end_processes(processes)
    return count


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
