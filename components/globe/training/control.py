"""How a training's processes and the one that started them talk: a folder of small files, named by a variable.

- `stop`: the stage asks the trainer to save and to end.
- `beat`: touched whenever a process has finished a step, a save or a batch of an evaluation; it holds the step.
- `failures.jsonl`: each process's own error, with its time and its rank.
- `stacks-RANK-PID`: where a process is, written by itself when it gets SIGUSR1.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from globe.files import json_line
from globe.printable import printable

VARIABLE = "GLOBE_TRAINING"
SHARED = "control"
"""Name of the folder where the processes are on several nodes: it lies in the trainer's output folder, which all of them see."""
LONGEST_ERROR = 1000


@dataclass(frozen=True)
class Failure:
    """The error that ended one process."""

    time: float
    rank: int
    text: str


@dataclass(frozen=True)
class Control:
    """The folder."""

    folder: Path
    here: bool = True
    """Whether the training's processes are on this machine, so that one may signal them."""

    def ask_to_stop(self) -> None:
        """Ask the trainer to save and end."""
        (self.folder / "stop").touch()

    def go_on(self) -> None:
        """Take that back, if it has not been heeded yet."""
        (self.folder / "stop").unlink(missing_ok=True)

    def is_asked_to_stop(self) -> bool:
        """Whether the stage has asked for it."""
        return (self.folder / "stop").exists()

    def beat(self, step: int) -> None:
        """Tell that the training goes on. A full disk does not matter: the file's time is set all the same."""
        with suppress(OSError):
            (self.folder / "beat").write_text(str(step), encoding="utf-8")

    def last_beat(self) -> tuple[int, float] | None:
        """The last step that was told, and when (Unix time); None before the first."""
        with suppress(OSError, ValueError):
            path = self.folder / "beat"
            return int(path.read_text(encoding="utf-8") or 0), path.stat().st_mtime
        return None

    def tell_failure(self, rank: int, text: str) -> None:
        """Keep a process's own error."""
        line = {"time": time.time(), "rank": rank, "text": printable(" ".join(text.split()))[:LONGEST_ERROR]}
        with suppress(OSError), (self.folder / "failures.jsonl").open("a", encoding="utf-8") as file:
            file.write(json_line(line))

    def first_failure(self) -> Failure | None:
        """The error of the process that failed first: those of the others follow from it."""
        failures = []
        with suppress(OSError):
            for line in (self.folder / "failures.jsonl").read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, TypeError):
                    failures.append(Failure(**json.loads(line)))
        return min(failures, key=lambda failure: failure.time, default=None)

    def stacks_file(self, rank: int, pid: int) -> Path:
        """Where a process writes where it is."""
        return self.folder / f"stacks-{rank}-{pid}"

    def stacks_files(self) -> dict[tuple[int, int], Path]:
        """Those files by rank and process id."""
        found = {}
        for path in sorted(self.folder.glob("stacks-*")):
            _, rank, pid = path.name.split("-")
            found[int(rank), int(pid)] = path
        return found


def current() -> Control | None:
    """The folder of the training that this process belongs to; None outside of one."""
    folder = os.environ.get(VARIABLE)
    return Control(Path(folder)) if folder else None
