"""What ms-swift logs of each step, read while it is written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LoggedStep = tuple[int, int, dict[str, Any]]
"""The step, the number of steps, and ms-swift's figures."""


def new_steps(path: Path) -> Iterator[list[LoggedStep]]:
    """With each `next`, the steps that were logged since the one before."""
    position = path.stat().st_size if path.exists() else 0
    while True:
        found = []
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # half written; read it next time
                    position += len(line)
                    values = json.loads(line)
                    step, _, steps = str(values.get("global_step/max_steps", "")).partition("/")
                    if steps:
                        found.append((int(step), int(steps), values))
        yield found
