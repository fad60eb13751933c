"""The journal of an evaluation: every answer is kept the moment it comes, so that a killed run asks nothing twice.

One line an answer, only ever added to. A line that a kill or a disk has damaged is passed over, and its question asked again.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from globe.asking.reply import Reply
from globe.errors import InputError
from globe.files import json_line

JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = ".lock"

Count = Annotated[int, Field(ge=0)] | None
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


class _Start(BaseModel):
    """The line with which a run begins."""

    model_config = ConfigDict(strict=True, extra="forbid")

    started: float


class _Line(BaseModel):
    """The line of an answer: whose it is, when it came, and the fields of `Reply`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: str
    sample: int
    at: float
    text: str
    cut_off: bool
    confidence: Annotated[float, Field(ge=0, le=1)] | None
    prompt_tokens: Count
    completion_tokens: Count
    attempts: int
    latency_s: Seconds
    first_token_s: Seconds


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a folder for one run while a `with` block lasts; the lock ends with the process, however that ends.

    Raises:
        InputError: Another run is writing there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            who = f"process {pid}" if pid.isdigit() else "another process"
            raise InputError(f"{folder}: {who} is evaluating there; wait for it, end it, or give another folder") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


class Journal:
    """The answers so far; use as a context manager to add to them.

    Attributes:
        answered: The answers, by picture and sample.
        busy_s: How long the runs so far have been asking, up to the last answer of each.
    """

    def __init__(self, folder: Path) -> None:
        """Read a folder's journal, if it has one."""
        self._path = folder / JOURNAL_FILE
        self.answered: dict[tuple[str, int], Reply] = {}
        self.busy_s = 0.0
        self._started = self._latest = 0.0
        for line in self._path.read_bytes().split(b"\n") if self._path.exists() else ():  # no other sign ends a line
            self._read(line)
        self._close_run()

    def __enter__(self) -> "Journal":
        self._file = self._path.open("ab")
        if self._file.tell() and self._path.read_bytes()[-1:] != b"\n":
            self._file.write(b"\n")  # the last line was torn
        self._started = self._latest = time.time()
        self._add({"started": self._started})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_run()
        self._file.close()

    def add(self, name: str, sample: int, reply: Reply) -> None:
        """Keep an answer.

        Args:
            name: The picture's id.
            sample: Which of its answers this is, from 0.
            reply: The answer.
        """
        self._latest = time.time()
        fields = asdict(reply)
        del fields["error"]
        self._add({"id": name, "sample": sample, "at": self._latest} | fields)
        self.answered[name, sample] = reply

    def _add(self, record: dict[str, Any]) -> None:
        self._file.write(json_line(record).encode())
        self._file.flush()

    def _read(self, line: bytes) -> None:
        if line.startswith(b'{"started"'):
            try:
                start = _Start.model_validate_json(line)
            except ValidationError:
                return
            self._close_run()
            self._started = self._latest = start.started
            return
        try:
            fields = _Line.model_validate_json(line).model_dump()
        except ValidationError:
            return
        name, sample, at = (fields.pop(key) for key in ("id", "sample", "at"))
        self._latest = max(self._latest, at)
        self.answered[name, sample] = Reply(**fields)

    def _close_run(self) -> None:
        self.busy_s += max(0.0, self._latest - self._started)
        self._started = self._latest = 0.0
