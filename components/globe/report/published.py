"""What others have published about the same data set, and how their protocols differ. The figures live in published.yaml."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from globe.geo.distance import THRESHOLDS_KM
from globe.report.accuracy import Evaluated
from globe.report.text import ABSENT, clean, count, known_interval, number, percent


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PublishedRow(_Strict):
    """One published result."""

    model: str
    note: str = ""
    km: list[float | str] = Field(min_length=len(THRESHOLDS_KM), max_length=len(THRESHOLDS_KM))
    """Percent within each of `THRESHOLDS_KM`; "?" is unknown to us, "-" is not given by the source."""
    source: str
    """A key of `Published.sources`."""
    ours: bool = False
    """Whether it is of the method that this project rebuilds."""


class Difference(_Strict):
    """A way in which protocols differ."""

    name: str
    text: str


class PublishedDataset(_Strict):
    """The published results on one data set."""

    title: str
    also: list[str] = []
    """Other names of the data set."""
    n: int | None = None
    """How many pictures the published figures are of, if that is known."""
    differences: list[Difference] = []
    rows: list[PublishedRow]


class Published(_Strict):
    """All of published.yaml."""

    sources: dict[str, str]
    everywhere: list[Difference]
    datasets: dict[str, PublishedDataset]

    @model_validator(mode="after")
    def _sources_are_named(self) -> "Published":
        used = {row.source for dataset in self.datasets.values() for row in dataset.rows}
        if unknown := used - self.sources.keys():
            raise ValueError(f"sources that are not listed: {sorted(unknown)}")
        return self

    def find(self, name: str) -> PublishedDataset | None:
        """The results on a data set, by any of its names."""
        wanted = name.strip().lower()
        return next((found for key, found in self.datasets.items() if wanted in (key, *found.also)), None)


@cache
def published() -> Published:
    """The published figures."""
    return Published.model_validate(yaml.safe_load(files("globe.report").joinpath("published.yaml").read_text("utf-8")))


def beside_published(evaluations: Sequence[Evaluated]) -> dict[str, Any] | None:
    """The evaluations' accuracy beside what was published about their data set; None if nothing is known about it.

    Only evaluations of the last one's data set are shown.
    """
    name = _dataset(evaluations[-1]) if evaluations else ""
    found = published().find(name) if name else None
    if found is None:
        return None
    ours = [_own_row(e) for e in evaluations if published().find(_dataset(e)) is found]
    theirs = [_row(row) for row in sorted(found.rows, key=_city_percent, reverse=True)]
    sources = list(dict.fromkeys(row["source"] for row in theirs))
    for row in theirs:
        row["mark"] = sources.index(row["source"]) + 1
    return {
        "title": found.title,
        "columns": [f"{km:,} km" for km in THRESHOLDS_KM],
        "ours": ours,
        "theirs": theirs,
        "sources": sources,
        "differences": [*found.differences, *published().everywhere],
        "n": count(found.n) if found.n else "",
        "partial": [row["name"] for row in ours if found.n and row["pictures"] not in (None, found.n)],
    }


def _dataset(evaluation: Evaluated) -> str:
    dataset = evaluation.view.metrics.get("dataset")
    return clean(dataset.get("name"), 120) if isinstance(dataset, dict) else ""


def _own_row(evaluation: Evaluated) -> dict[str, Any]:
    metrics = evaluation.view.metrics
    accuracy, ci95 = metrics.get("accuracy") or {}, metrics.get("ci95") or {}
    shares = [(accuracy.get(str(km)), ci95.get(str(km))) for km in THRESHOLDS_KM]
    cells = [{"text": percent(value), "interval": known_interval(bounds), "share": number(value)} for value, bounds in shares]
    pictures = number(metrics.get("n"))
    return {"name": evaluation.name, "series": evaluation.series, "n": count(pictures), "pictures": pictures, "cells": cells}


def _row(row: PublishedRow) -> dict[str, Any]:
    shares = [value for value in row.km if isinstance(value, float | int)]
    decimals = 1 if all(round(share, 1) == share for share in shares) else 2
    cells = [{"text": _figure(value, decimals), "unknown": value == "?", "share": number(value)} for value in row.km]
    return {"name": row.model, "note": row.note, "ours": row.ours, "cells": cells, "source": published().sources[row.source]}


def _figure(value: float | str, decimals: int) -> str:
    """A figure with the decimals that the source gives; one that does not exist as a dash."""
    if value == "-":
        return ABSENT
    return value if isinstance(value, str) else f"{value:.{decimals}f}"


def _city_percent(row: PublishedRow) -> float:
    share = number(row.km[THRESHOLDS_KM.index(25)])
    return -1.0 if share is None else share
