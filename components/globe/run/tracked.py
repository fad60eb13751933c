"""What the stages tell MLflow: trainings their curves, evaluations their figures, the gate its verdict."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from globe.models.checkpoints import read_checkpoint
from globe.run.artifacts import finite, manifest_of
from globe.run.stage import RUN_VARIABLE, StageResult
from globe.run.tracking import RUN_VARIABLE as MLFLOW_RUN
from globe.run.tracking import URI_VARIABLE, Record
from globe.storage import stored_at
from globe.training.runs import history_of

SHOWN = ("n", "median_km", "mean_km", "geoscore", "parsed_percent", "geocoded_percent", "failed_percent")
SHOWN_MATCHES = ("country_match", "city_match")
NOTE_TAG = "mlflow.note.content"
"""What MLflow's page shows as a run's description."""


@contextmanager
def tracked(stage: str, environment: Mapping[str, str] | None = None) -> Iterator[Record]:
    """The record of a task, for as long as its work goes on.

    Args:
        stage: Name of the stage, which parameters and curves begin with.
        environment: Environment variables; this process's by default.
    """
    variables = os.environ if environment is None else environment
    if not variables.get(URI_VARIABLE) or not variables.get(MLFLOW_RUN):
        yield Record()
        return
    from globe.run.mlflow_record import record_of

    record = record_of(stage, variables)
    try:
        yield record
    finally:
        record.close()


def tell_training(record: Record, result: StageResult) -> None:
    """Tell of a training that has ended: what decided it, its curve, its figures, and which checkpoint it has made."""
    made = read_checkpoint(manifest_of(result))
    tags = {"globe.checkpoint": made.digest, "globe.checkpoint_uri": str(stored_at(made.uri))}
    record.finish(
        params=_asked(result), figures=result.outcome.figures, tags=_tags(result) | tags, curve=history_of(result.folder)
    )


def tell_evaluation(record: Record, result: StageResult, metrics: Mapping[str, Any], model: str) -> None:
    """Tell of an evaluation.

    Args:
        record: The record.
        result: The stage's result.
        metrics: The policy's figures.
        model: What the run calls the policy.
    """
    accuracy = {f"accuracy_{km}km_percent": percent for km, percent in finite(metrics["accuracy"]).items()}
    figures = accuracy | finite(metrics, (*SHOWN, *SHOWN_MATCHES))
    record.finish(params=_asked(result), figures=figures, tags=_tags(result) | {"globe.model": model})


def tell_verdict(record: Record, result: StageResult) -> None:
    """Tell the gate's verdict: in its own record, and above it in the pipeline's, where people look first."""
    judged = result.outcome.figures
    said = {f"globe.{name}": str(judged[name]) for name in ("verdict", "decision")}
    reasons = "\n".join(f"- {reason}" for reason in judged["reasons"])
    figures = {f"difference.{name}": value for name, value in (judged.get("difference") or {}).items()} | {"n": judged.get("n")}
    record.finish(figures=figures, tags=_tags(result) | said | {NOTE_TAG: reasons}, parent_tags=said)


def _asked(result: StageResult) -> dict[str, Any]:
    """What decided a result: the digests of its inputs and its settings. Lists are written as JSON."""
    asked = {"inputs": dict(result.inputs)} | dict(result.settings)
    return _plain(asked)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _plain(value)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return {name: plain(value) for name, value in values.items()}


def _tags(result: StageResult) -> dict[str, str]:
    """Which result this is, and whether it was made here or found."""
    run = os.environ.get(RUN_VARIABLE, "")
    return {
        "globe.stage": result.name,
        "globe.result": result.key,
        "globe.reused": str(result.reused).lower(),
        **({"globe.run": run} if run else {}),
    }
