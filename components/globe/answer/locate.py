"""From a model's text to a place: the one way, for an evaluation's answers and for texts in a table alike."""

from __future__ import annotations

from typing import Literal, NamedTuple

from globe.answer.parse import Answer, parse
from globe.geo.match import NO_MATCH, Match
from globe.geo.places import find_place, names_several

Status = Literal["ok", "no_answer", "not_parsed", "not_geocoded", "cut_off"]
Level = Literal["city", "country", ""]


class Located(NamedTuple):
    """Where a text says that a picture was taken.

    Attributes:
        status: "ok" (``place`` has a position), "no_answer" (an empty text), "not_parsed" (no one place can be read from it),
            "not_geocoded" (the place is not in the gazetteer), "cut_off" (it ended before its answer did).
        country: As written; empty unless the status is "ok" or "not_geocoded".
        city: As written, likewise; empty also when only a country is named.
        place: What the names were found to be; with a country alone, the country's centre.
        answer: What the parser read.
    """

    status: Status
    country: str = ""
    city: str = ""
    place: Match = NO_MATCH
    answer: Answer = Answer()

    @property
    def level(self) -> Level:
        """How precisely it is placed: a city that is not in the gazetteer leaves only its country; empty without a place."""
        return "city" if self.place.is_city else "country" if self.place.found else ""


def locate(text: str, *, cut_off: bool = False) -> Located:
    """Read a model's text and look up the place that it answers with.

    Args:
        text: What the model wrote.
        cut_off: It was stopped by the limit on tokens. Then only an answer that was closed before counts, since half a name
            may be another place's.
    """
    answer = parse(text)
    if cut_off and not answer.closed:
        return Located("cut_off", answer=answer)
    if not text.strip():
        return Located("no_answer", answer=answer)
    if refuse(answer):
        return Located("not_parsed", answer=answer)
    return locate_names(answer.country or "", answer.city or "", answer.region or "")._replace(answer=answer)


def locate_names(country: str, city: str, region: str = "") -> Located:
    """Look up a place that is given by names, as columns of a table give it; of several cities none is taken."""
    if not country and not city:
        return Located("no_answer")
    if names_several(city):
        return Located("not_parsed")
    place = find_place(city, country, region or None)
    return Located("ok" if place.found else "not_geocoded", country, city, place)


def refuse(answer: Answer) -> str:
    """Why a text has no one answer: the reason in a few words, empty when it has one."""
    if answer.ambiguous:
        return "several answers"
    if not answer.country:
        return "no country in the answer" if "answer" not in answer.missing else "no answer"
    if answer.city and names_several(answer.city):
        return "several cities in one answer"
    return ""
