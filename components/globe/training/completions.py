"""ms-swift's `completions.jsonl`: one line a rollout, whose columns list the completions with their rewards and advantages."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SHOWN_CALLBACK = "globe_shown"
"""ms-swift's name of the callback that keeps this file in order."""
COMPLETIONS_FILE = "completions.jsonl"
ROW, PICTURE = "row", "picture"
"""Columns that we add: the truth, as the rewards see it, and the picture's file."""
_STEP = re.compile(rb'\{"step": \["(\d+)"')


def step_of_line(line: bytes) -> int | None:
    """The step of a line; None if it is torn."""
    found = _STEP.match(line)
    return int(found[1]) if found and line.endswith(b"}\n") else None


def forget_after(path: Path, step: int) -> None:
    """Cut off what a killed training wrote after the step that it resumes from, and a line that the kill has torn."""
    if not path.exists():
        return
    kept = 0
    with path.open("rb+") as file:
        for line in file:
            at = step_of_line(line)
            if at is None or at > step:
                break
            kept += len(line)
        file.truncate(kept)


def read_new(path: Path, position: int) -> Iterator[tuple[int, bytes, int]]:
    """Step, line, and the position after it, of each whole line from a position on."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(position)
        for line in file:
            step = step_of_line(line)
            if step is None:
                return  # half written; it is read next time
            position += len(line)
            yield step, line, position


def parse(line: bytes) -> list[dict[str, Any]]:
    """The completions of a line, each with its columns."""
    table: Mapping[str, list[Any]] = json.loads(line)
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
