"""A training that stands still is ended, and it is said where each of its processes was."""

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from globe.errors import GlobeError
from globe.training.control import Control

DUMP_S = 10.0
"""How long a process may take to write where it is."""
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+) in (.+)$')


class Watchdog:
    """Raises when no process of a training has finished anything for too long."""

    def __init__(self, control: Control, stall_s: float) -> None:
        self._control = control
        self._stall_s = stall_s
        self._started = time.time()

    def require_progress(self, log: Path) -> None:
        """Go on, or tell why not.

        Args:
            log: The training's log; gets all stacks.

        Raises:
            GlobeError: Nothing has been finished for `stall_s`.
        """
        beat = self._control.last_beat()
        since = time.time() - (beat[1] if beat else self._started)
        if since < self._stall_s:
            return
        last = f"the last was step {beat[0]}" if beat else "not even the first"
        places = "; ".join(self._places(log)) or "no process has said where it is"
        raise GlobeError(
            f"no step was finished for {since / 60:.1f} min ({last}; stall_s {self._stall_s:g}): {places} (log: {log})"
        )

    def _places(self, log: Path) -> list[str]:
        files = self._control.stacks_files() if self._control.here else {}
        for _, pid in files:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        deadline = time.monotonic() + DUMP_S
        while time.monotonic() < deadline and not all(path.stat().st_size for path in files.values()):
            time.sleep(0.1)
        with log.open("a", encoding="utf-8") as all_stacks:
            for (rank, pid), path in files.items():
                all_stacks.write(f"\nrank {rank} (process {pid}):\n{path.read_text(encoding='utf-8')}")
        return [f"rank {rank} {innermost(path.read_text(encoding='utf-8'))}" for (rank, _), path in files.items()]


def innermost(stacks: str) -> str:
    """What the main thread of a process was doing, from what faulthandler wrote of all its threads."""
    frames = [found for found in map(_FRAME.match, stacks.rpartition("most recent call first")[2].splitlines()) if found]
    if not frames:
        return "did not answer: it is stopped, or its machine hangs"
    file, line, name = frames[0].groups()
    return f"was in {name} ({'/'.join(Path(file).parts[-3:])}:{line})"
