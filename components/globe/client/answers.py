"""What a gateway answers, as a program reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from globe.errors import GlobeError, InputError


class Refused(GlobeError):
    """A gateway has refused a request.

    Attributes:
        status: The HTTP status, such as 401 (no key that it takes), 413 (too large), 415 (no photo) or 422 (damaged).
        code: The gateway's word for programs; empty where something else has answered.
    """

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class WronglyAsked(Refused, InputError):
    """A gateway has refused a parameter of the request, such as more answers than it gives: no other photo would fare better."""


class Unavailable(GlobeError):
    """No gateway has answered within the time: it was not there, had too much to do, or took too long."""


@dataclass(frozen=True)
class Alternative:
    """Another place among several answers."""

    country: str
    city: str
    lat_deg: float | None
    lon_deg: float | None
    share: float
    region: str = ""


@dataclass(frozen=True)
class Located:
    """Where a photo was taken, as the model thinks. Its texts are the model's own: no terminal should get them as they are."""

    status: str
    """ok | not_geocoded | not_parsed | no_answer | cut_off; only "ok" has a position."""
    country: str
    city: str
    region: str
    level: str
    """Of what the position is: city, region or country; a country's centre also if the city was not found."""
    lat_deg: float | None
    lon_deg: float | None
    reasoning: str
    confidence: float | None
    """In [0, 1]: the share of the answers that agree, of several; the probability of the answer's text, of one."""
    radius_km: float | None
    radius_level_percent: float | None
    """The photo was taken within `radius_km` in so many percent of such cases; None without a calibrated radius."""
    alternatives: tuple[Alternative, ...]
    n: int
    answered: int
    """Of the n answers that were asked for, how many came."""
    model: Mapping[str, str]
    """name and digest."""
    precision: str
    """The finest that this gateway tells: city, region or country."""
    reasoning_shortened: bool = False
    temperature: float = 0.0


@dataclass(frozen=True)
class Reasoning:
    """The next piece of the model's reasons."""

    text: str


@dataclass(frozen=True)
class Progress:
    """So many of the answers have come."""

    answered: int
    n: int


Event: TypeAlias = Reasoning | Progress | Located


def document(body: bytes) -> Mapping[str, Any]:
    """A JSON object; empty if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_located(told: Mapping[str, Any]) -> Located:
    """An answer from its document; what later gateways may add is left out.

    Raises:
        KeyError: A field is missing.
        TypeError: A field is missing, or something else than it should be.
    """
    known = {field.name for field in fields(Alternative)}
    alternatives = tuple(
        Alternative(**{name: value for name, value in one.items() if name in known}) for one in told["alternatives"]
    )
    values = {field.name: told[field.name] for field in fields(Located) if field.name in told}
    return Located(**values | {"alternatives": alternatives})
