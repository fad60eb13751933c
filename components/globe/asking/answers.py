"""One answer of a model about one picture: what it said, the place that it names, and what asking took."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from globe.answer.locate import Level, locate


@dataclass(frozen=True)
class Location:
    """What a model answered about one picture."""

    status: str
    """ok | no_answer | not_parsed | not_geocoded | cut_off | call_failed"""
    text: str = ""
    """Everything that the model wrote; empty if the call failed."""
    error: str = ""
    """Why the call failed; empty if it did not."""
    country: str = ""
    city: str = ""
    level: Level = ""
    """How precisely the answer is placed; "country" also if its city is not in the gazetteer."""
    lat_deg: float | None = None
    lon_deg: float | None = None
    reasoning: str = ""
    confidence: float | None = None
    """Probability that the model gave its answer part, given its reasoning: the product over the answer's tokens."""
    attempts: int = 0
    """Calls that it took; 0 where no server was asked."""
    latency_s: float | None = None
    """From the start of the last attempt to its last token."""
    first_token_s: float | None = None
    """From the start of the last attempt to its first token; None if the answer was not streamed."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """As the server counts them; None if it does not say."""


def geocode(text: str, tokens: Sequence[Any] = (), *, cut_off: bool = False) -> Location:
    """Look up the place that a model's answer names.

    Args:
        text: What the model wrote.
        tokens: Its tokens with their log probabilities, if the server returns them.
        cut_off: Whether the limit on tokens cut it off.
    """
    found = locate(text, cut_off=cut_off)
    return Location(
        status=found.status,
        text=text,
        country=found.country,
        city=found.city,
        lat_deg=found.place.lat_deg,
        lon_deg=found.place.lon_deg,
        level=found.level,
        reasoning=found.answer.reasoning or "",
        confidence=_answer_probability(tokens) if found.status in ("ok", "not_geocoded") else None,
    )


def _answer_probability(tokens: Sequence[Any]) -> float | None:
    """Product of the probabilities of the tokens after the reasoning."""
    text, start = "", None
    for index, token in enumerate(tokens):
        text += token.token
        if start is None and "<answer>" in text:
            start = index + 1
    if start is None:
        return None
    total = sum(token.logprob for token in tokens[start:])
    return None if math.isnan(total) else math.exp(min(0.0, total))
