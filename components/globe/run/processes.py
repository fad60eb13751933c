"""End processes, and make sure that they do not outlive the process that started them.

On Linux the kernel helps: a "child subreaper" becomes the parent of descendants whose own parent has ended, and a process can
ask for a signal when its parent ends, in whatever way. On other systems these two functions do nothing.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PATIENCE_S = 10.0
"""How long a process may take to end after SIGTERM."""
POLL_S = 0.05


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def forgo_privileges() -> None:
    """Have neither this process nor any that it starts ever gain a right by starting a program: no set-uid, no capability.

    It is what `allowPrivilegeEscalation: false` has a container's first process do, and an ordinary user's process that has none
    can then get no capability at all. KFP's compiler can write neither that nor dropped capabilities nor seccomp into a task.
    """
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Let SIGTERM (a CI job is stopped) and SIGHUP (a terminal is closed) do what Ctrl-C does: shut down in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    heeded = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]  # nohup ignores SIGHUP
    old = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends."""
    parent = os.getppid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the call above
        os.kill(os.getpid(), signal.SIGTERM)


def tie_to_parent() -> None:
    """`end_with_parent` as a `preexec_fn`: between fork and exec a handler that the parent has set would swallow the signal."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()


def end_descendants() -> None:
    """End every descendant of this process, including any that start in the meantime."""
    while processes := [child for child in psutil.Process().children(recursive=True) if not has_ended(child)]:
        end_processes(processes)


def end_writers(logs: Collection[Path]) -> None:
    """End the processes whose stdout or stderr is one of these files, however they came by it.

    Where a server and its supervisor were both killed, what the server had started has no parent by which it could be found, and
    vLLM's engine hides its environment behind its title. On other systems than Linux this does nothing.

    Args:
        logs: Files that only what is to be ended writes to.
    """
    wanted = {str(log.resolve()) for log in logs if log.is_file()}  # never /dev/null
    if wanted and (found := [one for one in psutil.process_iter() if one.pid != os.getpid() and _writes_to(one, wanted)]):
        end_processes(found)


def _writes_to(process: psutil.Process, logs: Collection[str]) -> bool:
    for number in (1, 2):
        with suppress(OSError):  # it is another user's, or has ended
            if os.readlink(f"/proc/{process.pid}/fd/{number}") in logs:
                return not has_ended(process)
    return False


@contextmanager
def none_left() -> Iterator[None]:
    """End all that was started meanwhile, however deep, in process groups and sessions of its own or orphaned.

    torchrun, for one, gives each worker a session, and a killed one leaves its workers behind.
    """
    adopt_orphans()
    this = psutil.Process()
    before = set(this.children())
    try:
        yield
    finally:
        while left := [process for child in this.children() if child not in before for process in _living_tree(child)]:
            end_processes(left)


def _living_tree(root: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [process for process in (root, *root.children(recursive=True)) if not has_ended(process)]
    return []


def end_process_tree(pid: int) -> None:
    """End a process and its descendants."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        end_processes([root, *root.children(recursive=True)])


def end_processes(processes: list[psutil.Process]) -> None:
    """Send SIGTERM, wait a few seconds, then send SIGKILL; returns when all have ended."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signum)
        deadline = time.monotonic() + PATIENCE_S
        while processes and time.monotonic() < deadline:
            time.sleep(POLL_S)
            processes = [process for process in processes if not has_ended(process)]


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended: it is gone, or a zombie whose parent has not collected its exit code yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
