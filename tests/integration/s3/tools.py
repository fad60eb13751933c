"""What tests against an S3 server share."""

import time
from pathlib import Path

from globe import storage
from globe.run.events import Reporter
from globe.run.stage import Outcome, run_stage


def call(bucket, work, **changes):
    question = {"inputs": {}, "settings": {}, "code": ("globe.geo.normalize",)} | changes
    return run_stage("toy", store=storage.open_store(bucket.uri("store")), work=work, **question)


def making(size: int, mark: list[int] | None = None):
    def work(folder: Path, reporter: Reporter) -> Outcome:
        if mark is not None:
            mark.append(1)
        (folder / "model.safetensors").write_bytes(b"\1" * size)
        return Outcome("made")

    return work


def until(true, what: str, timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)
