"""What became of a run's stages: one small file for each in the store, which the end of the run is told from.

STORE/runs/RUN/STAGE-STARTED.json, in a folder or on S3. A stage's own result has an address that other runs share; this says
which run asked for it, when, how long it took, on how many GPUs, and how it ended. A pod that is lost writes none.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, TypeAdapter

from globe import storage
from globe.errors import GlobeError, InputError
from globe.files import json_text
from globe.storage.effort import BRIEF_PATIENCE_S, to_stderr

State = Literal["succeeded", "failed", "rejected"]
FOLDER = "runs"
SERVER = "server:"
"""Begins the stage of a record that is a server's: "server:MODEL"."""
_SUFFIX = ".json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class StageRecord:
    """How a stage of a run ended."""

    run: str
    stage: str
    """As in the table of stages, or "server:MODEL"."""
    state: State
    """"rejected" is the gate's doing: the run ends there, but nothing is broken."""
    started: str
    """When the first attempt started, in ISO format and UTC."""
    seconds: Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]
    """From then to the end of the last attempt, pauses included: the pod held its GPUs all that time."""
    attempts: int = 1
    gpus: NonNegativeInt = 0
    """What the pod was promised; 0 for none."""
    error: str = ""
    """One line, if it did not succeed."""
    figure: str = ""
    """The one line that a user reads about its result."""

    @property
    def start(self) -> datetime:
        """When it started."""
        return datetime.fromisoformat(self.started)


_read = TypeAdapter(StageRecord).validate_json


def now_text(when: datetime | None = None) -> str:
    """A moment as a record holds it; the present one by default."""
    return (when or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def write_record(store: str, record: StageRecord) -> None:
    """Write a stage's record, whole or not at all; the same record written again replaces itself.

    Args:
        store: Folder or s3:// prefix that keeps the results of all stages.
        record: The record.

    Raises:
        GlobeError: The store cannot be written to, or has not answered within 20 s.
        OSError: Likewise.
    """
    started = now_text(record.start).replace(":", "").removesuffix("+0000")
    name = f"{_safe(record.stage)}-{started}Z{_SUFFIX}"
    storage.write_text(f"{folder_of(store, record.run)}/{name}", json_text(asdict(record)), patience_s=BRIEF_PATIENCE_S)


def read_records(store: str, run: str, note: Callable[[str], None] = to_stderr) -> list[StageRecord]:
    """The records of a run's stages by the time of their start; none for a run that nobody has heard of.

    Args:
        store: As above.
        run: The run's id.
        note: Told which files are damaged; they are skipped.

    Raises:
        GlobeError: The store cannot be reached.
    """
    folder, records = folder_of(store, run), []
    for name in storage.names_in(folder):
        if not name.endswith(_SUFFIX):
            continue
        try:
            record = _read(storage.read_text(f"{folder}/{name}"))
            if record.start.utcoffset() is None:
                raise ValueError("a time of no zone")
            _ = record.start.astimezone(UTC)
        except (ValueError, OverflowError, InputError):
            note(f"{folder}/{name}: not the record of a stage; skipped")
            continue
        if record.run == run:
            records.append(record)
    return sorted(records, key=lambda record: record.start.astimezone(UTC))


def folder_of(store: str, run: str) -> str:
    """Where a run's records lie.

    Raises:
        GlobeError: The run has no id.
    """
    if not _safe(run):
        raise GlobeError(f"a run's records need the run's id, and {run!r} is none")
    return f"{store.rstrip('/')}/{FOLDER}/{_safe(run)}"


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).strip(".-")
