"""The gate's verdict beside a run's records, in full: STORE/runs/RUN/verdict. The run's last task tells of it."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import FiniteFloat, TypeAdapter

from globe import storage
from globe.errors import GlobeError
from globe.files import json_text
from globe.run.artifacts import finite
from globe.run.events import emit
from globe.run.records import folder_of
from globe.run.stage import RUN_VARIABLE

FILE = "verdict"
"""Without the suffix of the records that lie in the same folder."""


@dataclass(frozen=True)
class Verdict:
    """What the gate said of a run's policy."""

    verdict: str
    decision: str
    """What follows from it by the recipe: "promote" or "reject"."""
    reasons: tuple[str, ...]
    figures: Mapping[str, FiniteFloat] = field(default_factory=dict)
    """Figures of the policy, by name."""


_read = TypeAdapter(Verdict).validate_json


def write_verdict(store: str, run: str, judged: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Write the verdict of a run; if the store does not answer, only the run's last word lacks it.

    Args:
        store: Folder or s3:// prefix that keeps the results of all stages.
        run: The run's id, where the environment does not name it.
        judged: What `globe.evaluation.gate.judge` returned.
        metrics: The policy's figures.
    """
    accuracy = {f"within_{km}_km_percent": value for km, value in metrics.get("accuracy", {}).items()}
    figures = {"pictures": metrics.get("n")} | accuracy | {"median_km": metrics.get("median_km")}
    told = Verdict(judged["verdict"], judged["decision"], tuple(judged["reasons"]), finite(figures))
    try:
        storage.write_text(f"{folder_of(store, os.environ.get(RUN_VARIABLE) or run)}/{FILE}", json_text(asdict(told)))
    except (GlobeError, OSError) as error:
        emit("gate", "note", figure=f"the end of the run will not tell the reasons: {error}")


def read_verdict(store: str, run: str) -> Verdict | None:
    """The verdict of a run; None if there is none, or it cannot be read.

    Args:
        store: As above.
        run: The run's id.
    """
    try:
        place = f"{folder_of(store, run)}/{FILE}"
        if not storage.exists(place):
            return None
        return _read(storage.read_text(place))
    except (GlobeError, OSError, ValueError):
        return None
