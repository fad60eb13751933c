"""The evaluation's figures and the gate's verdict, as JSON at a place known before the run began."""

import json
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from globe.errors import GlobeError, InputError

RESULT_PARAMETER = "result"
"""The pipelines' parameter that says where to write it."""

_LARGEST_BYTES = 16 << 20
_S3_LIMITS = {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 3}}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Metrics(_Part):
    """The figures of `globe score` that a summary shows."""

    n: int
    accuracy: dict[str, float]
    ci95: dict[str, tuple[float | None, float | None]]
    median_km: float | None = None
    parsed_percent: float


class Verdict(_Part):
    """What the gate said."""

    verdict: Literal["promote", "reject"]
    reasons: list[str] = []


class EvaluationResult(_Part):
    """What stage gate publishes (`globe.evaluation.gate.publish`)."""

    run: str
    metrics: Metrics
    gate: Verdict


def check_place(uri: str) -> None:
    """Check that a result could be read from there.

    Raises:
        InputError: Neither a path nor an s3:// URI.
    """
    if "://" in uri and urlsplit(uri).scheme not in ("file", "s3"):
        raise InputError(f"--result: {uri.partition('://')[0]}:// cannot be read; give a path or an s3:// URI")


def read_result(uri: str, run_id: str) -> EvaluationResult:
    """Read what a run left.

    Args:
        uri: Path or s3:// URI. For S3, keys and AWS_ENDPOINT_URL come from the environment.
        run_id: The run it must be of: the place may still hold that of an earlier one.

    Returns:
        Figures and verdict.

    Raises:
        GlobeError: There is none, it cannot be read, or it is another run's.
    """
    try:
        result = EvaluationResult.model_validate(json.loads(_read(uri)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise GlobeError(f"{uri}: not a result: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError:
        raise GlobeError(f"{uri}: not JSON") from None
    except Exception as error:  # whatever the object store's client raises: the run's end does not depend on it
        raise GlobeError(f"{uri}: cannot be read ({type(error).__name__})") from None
    if result.run != run_id:
        raise GlobeError(f"{uri}: the result of another run ({result.run}); this one wrote none")
    return result


def _read(uri: str) -> bytes:
    import fsspec  # late: only who asks for a result pays for it

    options: dict[str, Any] = {"config_kwargs": _S3_LIMITS} if uri.startswith("s3://") else {}
    with fsspec.open(uri, "rb", **options) as file:
        return bytes(file.read(_LARGEST_BYTES))
