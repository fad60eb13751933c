"""Summaries and comparisons as plain text for a terminal or a log."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from globe.console import one_line

MOST_SLICES = 10


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """A summary (:func:`globe.figures.metrics.summarize`) as a table."""
    ci95 = summary["ci95"]
    yield (
        f"{summary['n']} predictions: {summary['parsed']} parsed, {summary['geocoded']} with a position, "
        f"{summary['failed']} failed" + _failures(summary["failures"])
    )
    yield from _country_level(summary["country_level"])
    yield f"{'':28}{'value':>12}   95% interval"
    for km, value in summary["accuracy"].items():
        yield _line(f"within {km} km, %", value, ci95.get(km))
    for name, title in (
        ("country_match", "country right, %"),
        ("city_match", "city right, %"),
        ("country_match_original", "country, original's rule, %"),
        ("city_match_original", "city, original's rule, %"),
        ("median_km", "median km"),
        ("mean_km", f"mean km of {summary['mean_of']}"),
        ("geoscore", "GeoScore"),
    ):
        yield _line(title, summary[name], ci95.get(name))
    if summary["failed"]:
        yield f"{'failures':28}{'count':>12}   share, %"
        for status, count in summary["failures"].items():
            if count:
                share = f"{100 * count / summary['n']:.2f}   {_interval(ci95.get(status))}"
                yield f"  {status.replace('_', ' '):26}{count:>12}   {share}"
        for error, count in summary["errors"].items():
            yield f"  {count} x {one_line(error)}"
    for title, slices in summary["slices"].items():
        yield from _slice_lines(title.replace("_", " "), slices)


def _country_level(found: dict[str, Any]) -> Iterator[str]:
    if found["count"]:
        yield (
            f"{found['count']} of them placed by the country alone ({found['percent']:.1f}%; "
            f"{found['city_not_found']} named a city that was not found): they count within 750 and 2500 km only"
        )


def _slice_lines(title: str, slices: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The slices with the most pictures; metrics.json and --json have all of them."""
    yield f"by {title}:"
    shown = slices if len(slices) <= MOST_SLICES else sorted(slices, key=lambda name: -slices[name]["n"])[:MOST_SLICES]
    for label in shown:
        figures = slices[label]
        shares = "  ".join(f"{km} km {value:.1f}%" + _around(figures, km) for km, value in figures["accuracy"].items())
        yield f"  {one_line(label)[:24]:24} n {figures['n']:>6}   {shares}"
    if len(shown) < len(slices):
        rest = sum(figures["n"] for label, figures in slices.items() if label not in shown)
        yield f"  and {len(slices) - len(shown)} more with n {rest} in all; --json has them"


def _around(figures: dict[str, Any], km: str) -> str:
    """The interval at the city threshold, the one that people compare; those of all of them would not fit on a line."""
    low, high = figures["ci95"][km]
    return f" ({low:.1f} to {high:.1f})" if km == "25" else ""


def comparison_lines(result: dict[str, Any]) -> Iterator[str]:
    """A comparison (:func:`globe.evaluation.compare.compare`) as a table."""
    won = f"within {result['rule']['threshold_km']} km: {result['wins']} won, {result['losses']} lost"
    yield f"{result['n']} pictures in both; B against A: {result['verdict']} ({won})"
    yield from result["reasons"]
    yield f"{'':28}{'A':>12}{'B':>12}{'B - A':>12}   95% interval"
    entries = {f"within {km} km, %": entry for km, entry in result["accuracy"].items()}
    entries |= {
        "country right, %": result["country_match"],
        "city right, %": result["city_match"],
        "GeoScore": result["geoscore"],
    }
    entries["median km"] = result["median_km"]
    for title, entry in entries.items():
        values = "".join(f"{_text(entry[k]):>12}" for k in ("a", "b", "difference"))
        yield f"{title:28}{values}   {_interval(entry.get('ci95'))}"
    yield result["intervals"]
    if "power" in result:
        power = result["power"]
        yield (
            f"about {power['needed_pictures']:,} pictures show a difference of {power['points']:g} points within "
            f"{result['rule']['threshold_km']} km in {power['power_percent']:.0f}% of the cases, "
            f"if the two models differ on {result['discordant_percent']:.1f}% of them as here"
        )


def _line(title: str, value: float | None, ci95: list[float | None] | None) -> str:
    return f"{title:28}{_text(value):>12}   {_interval(ci95)}"


def _text(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:,.2f}"


def _interval(ci95: list[float | None] | None) -> str:
    return f"{_text(ci95[0])} to {_text(ci95[1])}" if ci95 else ""


def _failures(failures: dict[str, int]) -> str:
    named = [f"{count} {status.replace('_', ' ')}" for status, count in failures.items() if count]
    return f" ({', '.join(named)})" if named else ""
