"""How an attempt at a stage ended, and whether it is worth another.

| ending | another attempt? |
|---|---|
| exit code 0 | no: finished |
| this process was told to end (Terminate, the deadline, a drained node) | no: whoever told it starts another pod, or does not |
| the stage alone was told to end; it has saved and ends with exit code 75 | yes |
| the gate rejected the policy | no: a verdict, no failure |
| the stage says that an input is wrong, or exit code 2 | no: it would be wrong again |
| the command cannot be started (exit code 126 or 127) | no |
| a signal ended it: out of memory, a crash in native code, somebody's kill | yes |
| the stage says that something did not work: no answer, full disk, a server that ended | yes |
| the stage says that it has a bug, or says nothing | yes, but not after the same error twice at the same place |

The last row is there because what looks like a bug is often a fault of the machine: CUDA and NCCL tell theirs as RuntimeError.
Those pass, or come at another step; a real bug comes again at once.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.errors import STOPPED

BAD_INPUT = 2
CANNOT_START = (126, 127)
SIGNALLED = 128
"""A shell's exit code for a command that a signal has ended, less the signal's number."""
_NAMES = {number.value: number.name for number in signal.Signals}


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    Attributes:
        code: Exit code as a shell tells it: 128 and the signal's number if a signal has ended it.
        error: What the stage said of its failure.
        fault: Whose fault it said it was: see `globe.errors.Fault`; empty if it said nothing.
        rejected: Whether the failure is the gate's verdict.
        figure: The line that the stage gave out about its result.
        done: How far it had got, in the units that it counts.
        told_to_end: The signal that told this process to end; 0 for none.
    """

    code: int
    error: str = ""
    fault: str = ""
    rejected: bool = False
    figure: str = ""
    done: float = 0
    told_to_end: int = 0

    @property
    def signal(self) -> str:
        """Name of the signal that ended it; empty for none."""
        return _NAMES.get(self.code - SIGNALLED, "")

    @property
    def reason(self) -> str:
        """Why it failed, for people."""
        if self.told_to_end:
            saved = f"; {self.error}" if self.fault == "stopped" else ""
            return f"told to end ({_NAMES[self.told_to_end]}): terminated, past its deadline, or on a node that is drained{saved}"
        if self.signal:
            hint = ", perhaps for want of memory" if self.signal == "SIGKILL" else ""
            return f"ended by {self.signal}{hint}"
        return self.error or f"ended with exit code {self.code}"

    def is_final(self, before: "Ending | None") -> bool:
        """Whether another attempt would be of no use.

        Args:
            before: The ending of the attempt before, if there was one.
        """
        if self.code == 0 or self.told_to_end or self.rejected:
            return True
        if self.signal:
            return False
        if self.fault == "input" or self.code in (BAD_INPUT, *CANNOT_START):
            return True
        if self.fault in ("failure", "stopped") or before is None:
            return False
        return (before.code, before.fault, before.error) == (self.code, self.fault, self.error) and self.done <= before.done


class Reports:
    """What a stage reports in the file that `globe.run.events` appends to; only what tells how it ended is kept.

    A stage that works for days reports a lot, so the file is set aside and read now and then. It is read one turn after it was
    set aside, for a line may still be on its way into it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error = self.fault = self.figure = ""
        self.rejected = False
        self.done: float = 0
        self._aside = path.with_name(f"{path.name}.aside")

    def turn(self) -> None:
        """Read what was set aside, and set aside what came since."""
        self._read(self._aside)
        with suppress(FileNotFoundError):
            os.replace(self.path, self._aside)

    def finish(self) -> None:
        """Read the rest; the stage has ended."""
        self._read(self._aside)
        self._read(self.path)

    def ending(self, code: int, told_to_end: int) -> Ending:
        """How the attempt ended, with what its stage said."""
        if code == 0:
            return Ending(0, figure=self.figure, done=self.done, told_to_end=told_to_end)
        if self.fault == "stopped":
            code = STOPPED  # also where something between us and the stage, as KFP's executor, makes 1 of it
        return Ending(code, self.error, self.fault, self.rejected, "", self.done, told_to_end)

    def _read(self, path: Path) -> None:
        for event in _events(path):
            kind = event.get("kind")
            if kind == "failed":
                self.error, self.fault = str(event.get("error", "")), str(event.get("fault", ""))
                self.rejected = "verdict" in event
            elif kind in ("done", "reused", "skipped"):
                self.figure = str(event.get("figure", ""))
            elif kind == "progress" and isinstance(event.get("done"), int | float):
                self.done = event["done"]
        path.unlink(missing_ok=True)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):  # cut off by a kill
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event
