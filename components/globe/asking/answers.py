"""One answer of a model about one picture: what it said, the place that it names, and what asking took."""

from __future__ import annotations

from dataclasses import dataclass, replace

from globe.answer.locate import Level, locate
from globe.asking.reply import Reply


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
    """Probability that the model gave its answer part, given its reasoning, in [0, 1]; None if it is not known."""
    attempts: int = 0
    """Calls that it took; 0 where no server was asked."""
    latency_s: float | None = None
    """From the start of the last attempt to its last token."""
    first_token_s: float | None = None
    """From the start of the last attempt to its first token; None if the answer was not streamed."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """As the server counts them; None if it does not say."""
    samples: tuple[Location, ...] = ()
    """All answers, where several were asked for; this is then the one that most others agree with."""
    agreement: float | None = None
    """Share of the samples that agree with this one, in [0, 1]; None where only one answer was asked for."""


def geocode(text: str, *, cut_off: bool = False) -> Location:
    """Look up the place that a model's answer names.

    Args:
        text: What the model wrote.
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
    )


def located(reply: Reply) -> Location:
    """What a server's reply says, and what it took; status `call_failed` if there was none."""
    found = Location("call_failed", error=reply.error) if reply.error else geocode(reply.text, cut_off=reply.cut_off)
    return replace(
        found,
        confidence=reply.confidence if found.status in ("ok", "not_geocoded") else None,
        attempts=reply.attempts,
        latency_s=reply.latency_s,
        first_token_s=reply.first_token_s,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )
