"""A run on this machine: what it is called, and where everything of it lies."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pipelines.catalog import Pipeline
from pipelines.local.home import HISTORY, STORE


@dataclass
class Run:
    """One run: its folder and everything that lies there."""

    profile: str
    pipeline: Pipeline
    home: Path
    id: str = field(default_factory=lambda: f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")

    @property
    def folder(self) -> Path:
        """Logs, events and the report of this run."""
        return self.home / HISTORY / self.id

    @property
    def store(self) -> Path:
        """Results of all runs of this home."""
        return self.home / STORE

    @property
    def events(self) -> Path:
        """What the stages report while they run."""
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        """Everything that KFP and the stages print."""
        return self.folder / "run.log"
