"""Why a training failed, in one line: the own error of the process that failed first, and what it means where that is known."""

import re
import shutil
from pathlib import Path

from globe.training.control import Control

TAIL_LINES = 15
TAIL_BYTES = 200_000
"""How much of the log's end is read: each of eight processes may print a long traceback."""
_RANK = r"(?:\[rank\d+\]: ?)?"
_ERROR_LINE = re.compile(rf"^{_RANK}[\w.]*(?:Error|Exception|Interrupt)\b.*$")
_OUR_ERROR = re.compile(rf"^{_RANK}globe\.errors\.\w+: (.+)$")
_SUMMARY = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError"
_ENDED = re.compile(r"rank\s*: (\d+)[^\n]*\n\s*exitcode\s*: (-\d+)")
"""In torchrun's summary: a process that a signal has ended."""
_CONSEQUENCE = re.compile(r"Connection (?:closed|reset) by peer|Connection was likely closed")
_SIGNALS = {-4: "SIGILL", -6: "SIGABRT", -7: "SIGBUS", -8: "SIGFPE", -9: "SIGKILL, perhaps for want of memory", -11: "SIGSEGV"}
_NATIVE = re.compile(r"^.*(?:Watchdog caught collective operation timeout|CUDA error:|CUDA driver error:|NCCL error).*$")
_MEANINGS = (
    (r"collective operation timeout|gloo.*(?:Timed out|timed out)", "a process waited longer than ddp_timeout for the others"),
    (
        r"GPU is lost|fallen off the bus|uncorrectable ECC|no CUDA-capable device|devices?[^.]*busy or unavailable"
        r"|unspecified launch failure|hardware stack error|illegal instruction was encountered|NVLink.*error",
        "a GPU has failed or is gone: the node's other GPUs may be well, but see its dmesg for Xid",
    ),
    (r"Permission denied|Read-only file system", "this process may not write there: give a folder of its own"),
    (r"Connection (?:closed|reset) by peer", "another process of the training has gone"),
)
_NO_SPACE = re.compile(r"No space left|Disk quota exceeded|os error (?:28|122)\b|PytorchStreamWriter|inline_container")


def reason(log: Path, start: int, control: Control, output: Path) -> str:
    """What a user needs to see of a training that failed.

    Args:
        log: What all its processes have printed.
        start: Where in the log this call began.
        control: What its processes have told of themselves.
        output: Folder that it writes to.
    """
    failure = control.first_failure()
    if (failure is None or _CONSEQUENCE.search(failure.text)) and (killed := _killed(_read(log, start))):
        return killed
    text = failure.text if failure else tail(log, start)
    rank = f"rank {failure.rank}: " if failure and failure.rank else ""
    return f"{rank}{text}{_meaning(text, output)}"


def tail(log: Path, start: int = 0) -> str:
    """The error in a log, on one line: our own if there is one, else the last before torchrun's summary, or the last lines."""
    lines = [line.strip() for line in _read(log, start).partition(_SUMMARY)[0].splitlines()]
    ours = [found[1] for found in map(_OUR_ERROR.match, lines) if found]
    if ours:
        return ours[0]
    native = [line for line in lines if _NATIVE.match(line)]
    named = [line for line in lines if _ERROR_LINE.match(line)]
    if native or named:
        return (native[:1] or named[-1:])[0][:1000]
    meaningful = [line for line in lines if line and not line.startswith(("^", "Train:", "warnings.warn"))]
    return " | ".join(meaningful[-TAIL_LINES:])[-2000:]


def _killed(text: str) -> str:
    """Who was ended by a signal, and not by torchrun's own, which follows from the failure of another."""
    summary = text.partition(_SUMMARY)[2]
    ended = [(int(rank), int(code)) for rank, code in _ENDED.findall(summary) if int(code) in _SIGNALS]
    return f"rank {ended[-1][0]} was ended by {_SIGNALS[ended[-1][1]]}" if ended else ""


def _read(log: Path, start: int = 0) -> str:
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace")


def _meaning(text: str, output: Path) -> str:
    if _NO_SPACE.search(text):
        free_gb = shutil.disk_usage(output).free / 1e9
        return f"; {output} has {free_gb:.3g} GB of free space: make room, and the training goes on from its last checkpoint"
    return next((f" ({meaning})" for pattern, meaning in _MEANINGS if re.search(pattern, text)), "")
