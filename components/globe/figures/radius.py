"""A radius that keeps its word: from an answer's confidence to the distance within which 90% of such answers are right.

Split-conformal calibration (Vovk, Gammerman & Shafer 2005, chapter 4; Lei et al. 2018, arXiv 1604.04173, section 2.2;
Angelopoulos & Bates 2021, arXiv 2107.07511, sections 1 and 4.1), conditioned on groups ("Mondrian"): answers are grouped by
confidence and by whether they name a country alone, and each group's radius is the ceil((n+1)·90%)-th smallest distance of its n
answers. So it holds whatever the confidence is worth: where confidence says nothing, all radii are alike, and wide. A quarter of
the calibrating answers only decides where groups end, so that the others are as good as new to them.

The promise is for answers to pictures like those it was calibrated on, for all of a group together, and only for answers with a
position. For a continent alone nothing is promised: what was measured there is reported.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from globe.errors import InputError
from globe.figures.confidence import (
    SIGNALS,
    Records,
    distances,
    names_country_only,
    photographer,
    share_interval,
    signal,
)
from globe.figures.intervals import percent
from globe.figures.slices import CONTINENTS, UNKNOWN, continent_of
from globe.geo.verdict import Truth

LEVEL_PERCENT = 90.0
ANYWHERE_KM = 20_015.0
"""No two places on Earth are farther apart."""
LEAST_ANSWERS = 100
"""With a position and a confidence, to calibrate and to measure; more for levels above 90%."""
LEAST_OUTSIDE = 5
"""Calibrating answers of a group that should lie outside its radius: at 90%, groups have 50 answers or more."""
MOST_GROUPS = 10

Signal = Literal["answer_probability", "agreement"]
Kilometres = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Group(BaseModel):
    """Answers that share a radius."""

    model_config = ConfigDict(strict=True)

    level: Literal["any", "city", "country"]
    """Whether they name a country alone; "any" where there were too few of one kind to tell them apart."""
    up_to: Annotated[float, Field(ge=0, le=1)]
    """The highest confidence in it; the lowest is just above the previous group's."""
    n: int
    """Answers that decided it."""
    radius_km: Kilometres


class Radius(BaseModel):
    """Radii by confidence: what globe-radius.json holds."""

    model_config = ConfigDict(strict=True)

    level_percent: Annotated[float, Field(gt=0, lt=100)]
    """Share of the answers that lie within their radius."""
    by: Signal
    question: dict[str, Any] = {}
    """What was asked: the radius holds for no other prompt or decoding."""
    data: dict[str, Any] = {}
    """Digests of what it was calibrated on."""
    groups: Annotated[list[Group], Field(min_length=1)]
    measured: dict[str, Any]
    """How much it covered of other held-out answers, as in metrics.json."""

    def of(self, confidence: float, country_only: bool) -> float:
        """The radius of an answer in km; `ANYWHERE_KM` where no smaller one keeps the promise."""
        levels = ("any", "country" if country_only else "city")
        return next(
            (group.radius_km for group in self.groups if group.level in levels and confidence <= group.up_to), ANYWHERE_KM
        )


class Answers(NamedTuple):
    """Answers with a position and a usable confidence, as columns."""

    confidence: np.ndarray
    km: np.ndarray
    country_only: np.ndarray
    owner: np.ndarray
    """Who took each picture, or its own id where that is not known."""
    country: np.ndarray

    def where(self, chosen: np.ndarray) -> Answers:
        """Some of them."""
        return Answers(*(column[chosen] for column in self))


def calibrate(records: Records, level_percent: float = LEVEL_PERCENT) -> Radius:
    """Calibrate on one half of an evaluation's answers, and measure on the other.

    Which half a picture belongs to depends on its photographer, or its id where none is named, and on nothing else: so it is the
    same in every run, and pictures of one walk do not vouch for each other.

    Args:
        records: Predictions, as `globe.figures.predictions` defines them.
        level_percent: Share of the answers that must lie within their radius.

    Raises:
        InputError: Too few answers have a position and a confidence.
    """
    by, answers = _answers(records)
    least = max(LEAST_ANSWERS, 2 * _group_size(level_percent))
    if len(answers.km) < least:
        raise InputError(
            f"{len(answers.km)} of {len(records)} answers have a position and a confidence; a radius for {level_percent:g}% "
            f"needs {least}: evaluate more pictures, on a server that returns log-probabilities"
        )
    ours = _share(answers.owner, "half") < 0.5
    if 4 * min(ours.sum(), (~ours).sum()) < least:
        raise InputError(f"{len(set(answers.owner))} photographers took all pictures; a radius needs pictures of more of them")
    calibrating, others = answers.where(ours), answers.where(~ours)
    shapes = _share(calibrating.owner, "shape") < 0.25
    groups = fit(calibrating.where(shapes), calibrating.where(~shapes), level_percent)
    radius = Radius(level_percent=float(level_percent), by=by, groups=groups, measured={})
    measured = {"level_percent": radius.level_percent, "by": by, "calibrated_on": len(calibrating.km), **_measure(radius, others)}
    return radius.model_copy(update={"measured": measured})


def _answers(records: Records) -> tuple[Signal, Answers]:
    """The answers that can have a radius, by the confidence that more of them have."""
    km, only = distances(records), names_country_only(records)
    signals = {name: signal(records, name) for name in SIGNALS}
    by = max(signals, key=lambda name: int(np.isfinite(signals[name] + km).sum()))
    owner = np.array([str(photographer(record) or record["id"]) for record in records])
    country = np.array([str((record.get("truth") or {}).get("country") or "") for record in records])
    usable = np.isfinite(signals[by] + km)
    return by, Answers(signals[by], km, only, owner, country).where(usable)  # type: ignore[return-value]


def _share(names: np.ndarray, purpose: str) -> np.ndarray:
    """A number in [0, 1) for each name: always the same one, and none like another's."""
    digests = (hashlib.sha256(f"{purpose}\n{name}".encode("utf-8", "surrogatepass")).digest()[:6] for name in names)
    return np.array([int.from_bytes(digest) / 2**48 for digest in digests], dtype=float)


def fit(shape: Answers, rest: Answers, level_percent: float) -> list[Group]:
    """Group answers, and give each group its radius.

    Args:
        shape: Answers that decide where groups end.
        rest: About three times as many others, which decide the radii.
        level_percent: Share of the answers that must lie within their radius.

    Returns:
        The groups, by rising confidence.
    """
    alone = int(shape.country_only.sum())
    if 3 * min(alone, len(shape.km) - alone) < _group_size(level_percent):
        return list(_fit("any", shape, rest, level_percent))
    return [
        group
        for level, only in (("city", False), ("country", True))
        for group in _fit(level, shape.where(shape.country_only == only), rest.where(rest.country_only == only), level_percent)
    ]


def _fit(level: Any, shape: Answers, rest: Answers, level_percent: float) -> Sequence[Group]:
    count = min(MOST_GROUPS, 3 * len(shape.km) // _group_size(level_percent))
    inner = np.quantile(shape.confidence, np.arange(1, count) / count, method="inverted_cdf") if count > 1 else []
    ends = sorted({float(end) for end in inner if end < shape.confidence.max()} | {1.0})
    place = np.searchsorted(ends, rest.confidence, side="left")
    return [
        Group(level=level, up_to=end, n=int((place == at).sum()), radius_km=conformal(rest.km[place == at], level_percent))
        for at, end in enumerate(ends)
    ]


def _group_size(level_percent: float) -> int:
    return math.ceil(LEAST_OUTSIDE / (1 - level_percent / 100) - 1e-9)


def conformal(km: np.ndarray, level_percent: float) -> float:
    """The radius within which a further answer like these lies with the given probability at least.

    Args:
        km: Distances of the calibrating answers.
        level_percent: The probability, in percent.

    Returns:
        The ceil((n+1)·level)-th smallest distance (Angelopoulos & Bates 2021, section 1), rounded up to a metre; `ANYWHERE_KM`
        where there are too few for that.
    """
    rank = math.ceil((len(km) + 1) * level_percent / 100 - 1e-9)
    if rank > len(km):
        return ANYWHERE_KM
    return min(ANYWHERE_KM, math.ceil(float(np.partition(km, rank - 1)[rank - 1]) * 1000) / 1000)


def _measure(radius: Radius, answers: Answers) -> dict[str, Any]:
    """What a radius covers of answers that had no part in it, altogether and by the truth's continent."""
    radii = np.array([radius.of(c, only) for c, only in zip(answers.confidence, answers.country_only, strict=True)])
    inside = answers.km <= radii
    continents = np.array([continent_of(Truth(country, "")) for country in answers.country])
    owners = np.unique(answers.owner, return_inverse=True)[1]
    return {
        "measured_on": len(inside),
        **_coverage(inside, owners),
        "median_radius_km": round(float(np.median(radii)), 3),
        "continents": {
            name: {"n": int(here.sum()), **_coverage(inside[here], owners[here])}
            for name in (*CONTINENTS.values(), UNKNOWN)
            if (here := continents == name).any()
        },
    }


def _coverage(inside: np.ndarray, owners: np.ndarray) -> dict[str, Any]:
    return {"coverage_percent": percent(inside.mean()), "ci95": share_interval(inside, owners)}


def radius_figures(records: Records) -> Mapping[str, Any]:
    """What a radius calibrated on one half of the answers covers of the other; empty where there are too few."""
    try:
        return calibrate(records).measured
    except InputError:
        return {}
