"""The evaluation's figures and the gate's verdict: JSON that a run writes to a place named when it was started."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from globe.errors import GlobeError
from globe.storage import read_text

RESULT_PARAMETER = "result"
"""The pipelines' parameter that names this place."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Metrics(_Part):
    """The figures of `globe score` that a summary shows."""

    n: int
    accuracy: dict[str, float]
    ci95: dict[str, tuple[float | None, float | None]]
    median_km: float | None = None
    parsed_percent: float

    @model_validator(mode="after")
    def _intervals_are_there(self) -> Self:
        if any(None in self.ci95.get(distance_km, (None,)) for distance_km in self.accuracy):
            raise ValueError("an accuracy without its interval")
        return self


class Verdict(_Part):
    """What the gate said."""

    verdict: Literal["promote", "reject", "inconclusive"]
    decision: Literal["promote", "reject", ""] = ""
    """What follows from it by the recipe; empty in a result of an earlier version, whose verdict was the decision."""
    promotes: bool | None = None
    """Whether the run promotes a model that passes; None if it does not say."""
    reasons: list[str] = []

    @property
    def passes(self) -> bool:
        """Whether the model passed."""
        return (self.decision or self.verdict) == "promote"


class EvaluationResult(_Part):
    """What stage gate publishes (`globe.evaluation.gate.publish`)."""

    run: str
    data: str = ""
    """Digest of the pictures that were asked about; empty in a result of an earlier version."""
    metrics: Metrics
    gate: Verdict


def read_result(uri: str, run_id: str) -> EvaluationResult:
    """Read a run's result.

    Args:
        uri: Path or s3:// URI. For S3, keys and AWS_ENDPOINT_URL come from the environment.
        run_id: The run that must have written it: the file may still be an earlier run's.

    Returns:
        Figures and verdict.

    Raises:
        GlobeError: There is none, it cannot be read, or it is another run's.
    """
    try:
        result = EvaluationResult.model_validate_json(read_text(uri))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise GlobeError(f"{uri}: not a result: {': '.join([*map(str, first['loc']), first['msg']])}") from None
    except UnicodeDecodeError:
        raise GlobeError(f"{uri}: not a result: not text") from None
    if result.run != run_id:
        raise GlobeError(f"{uri}: the result of another run ({result.run}); this one wrote none")
    return result
