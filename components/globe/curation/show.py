"""What a curation did, as plain text for a terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from globe.curation.merge import DECISIONS_NAME, RESULT_NAME


def result_lines(result: Mapping[str, Any], out: Path) -> Iterator[str]:
    """The result of `globe.curation.curate.curate`, and where to find it."""
    yield f"{_many(result['in'], 'picture')} in, {result['kept']} kept"
    yield from _counts("dropped", result["dropped"])
    yield from _counts("could not be used", result["quarantined"])
    for spec, figures in result["teachers"].items():
        failed = figures["malformed"] + figures["timeouts"] + figures["failed"]
        yield f"  teacher {spec}: {figures['answered']} of {figures['asked']} answered" + (f", {failed} failed" if failed else "")
    splits = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in result["splits"].items())
    yield f"sets: {splits}, pool {result['pool']}"
    trained_on = {"sft": result["splits"]["train"], "reward_model": result["splits"]["reward_model"], "pool": result["pool"]}
    empty = [name for name, rows in trained_on.items() if not rows]
    if empty == ["reward_model"]:
        yield (
            'nothing to train on in reward_model: it needs "yes" and "no"; pictures of several countries, or some that cannot '
            "be located, give both"
        )
    elif empty:
        yield f"nothing to train on in {', '.join(empty)}: {DECISIONS_NAME} has the reasons; --recipe and --set change the rules"
    yield f"curated sets  {out}"
    yield f"figures       {out / RESULT_NAME}"
    yield f"why, each     {out / DECISIONS_NAME}"


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """The plan of `globe.curation.plan.plan_curation`."""
    yield f"{_many(plan['in'], 'row')} in {_many(plan['parts'], 'part')}, about {_many(plan['usable'], 'usable picture')}"
    yield from _counts(f"of the first {plan['sampled']} could not be used", plan["quarantined"])
    lost_percent, limit = 100 * sum(plan["quarantined"].values()) / max(1, plan["sampled"]), plan["max_unusable_percent"]
    if limit is not None and lost_percent > limit:
        yield f"as many of all, {lost_percent:.1f}%, would stop the curation: max_unusable_percent={limit:g}"
    for spec, calls in plan["calls"].items():
        tokens = plan["tokens"].get(spec)
        told = f", {_short(sum(tokens.values()))} tokens, {plan['gpu_hours'][spec]:g} GPU hours" if tokens else ""
        yield f"  teacher {spec}: {calls} calls{told}"
    room = plan["storage_bytes"]
    sizes = ((name.replace("_", " "), _short(size)) for name, size in room.items())
    yield "storage: " + ", ".join(f"{name} {size}B" for name, size in sizes)
    for assumption in plan["assumptions"]:
        yield f"  assumed: {assumption}"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _counts(what: str, reasons: Mapping[str, int]) -> Iterator[str]:
    if reasons:
        named = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items())
        yield f"{sum(reasons.values())} {what}: {named}"


def _short(number: float) -> str:
    """A large number with its decimal prefix: "1.2 M"; for bytes and tokens alike."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {prefix}"
    return f"{number:g} "
