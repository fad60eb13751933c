"""What a curation did, as plain text for a terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from globe.curation.curate import DECISIONS_NAME, RESULT_NAME


def result_lines(result: Mapping[str, Any], out: Path) -> Iterator[str]:
    """The result of `globe.curation.curate.curate`, and where to find it."""
    yield f"{result['in']} pictures in, {result['kept']} kept"
    yield from _counts("dropped", result["dropped"])
    yield from _counts("could not be used", result["quarantined"])
    for spec, figures in result["teachers"].items():
        failed = figures["malformed"] + figures["timeouts"] + figures["failed"]
        yield f"  teacher {spec}: {figures['answered']} of {figures['asked']} answered" + (f", {failed} failed" if failed else "")
    splits = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in result["splits"].items())
    yield f"sets: {splits}, pool {result['pool']}"
    yield f"curated sets  {out}"
    yield f"figures       {out / RESULT_NAME}"
    yield f"why, each     {out / DECISIONS_NAME}"


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """The plan of `globe.curation.curate.plan_curation`."""
    yield f"{plan['in']} pictures in"
    yield from _counts("could not be used", plan["quarantined"])
    for spec, calls in plan["calls"].items():
        yield f"  teacher {spec}: {calls} calls"


def _counts(what: str, reasons: Mapping[str, int]) -> Iterator[str]:
    if reasons:
        named = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items())
        yield f"{sum(reasons.values())} {what}: {named}"
