"""Examples of "no" that are made for the reward model, which judges whether a picture with a reasoning tells where it was taken.

Teachers find only one kind of "no": a picture that nobody could locate, with the words in which they say so. A judge trained on
these alone learns to tell confident words from doubtful ones and need not look at the picture, while a policy in training always
writes confident words. Two further kinds are therefore made of the pictures that can be located:

- "other_picture": a picture with the reasoning and the place of a picture of another country, far away. The text is a good one;
  only the picture shows that it is wrong. Each text is lent at most once, so no text is more often "no" than "yes".
- "cues_removed": a picture with its own reasoning less every sentence that names something visible. The picture is a good one
  and the place is right; only the text shows that nothing supports it.

A made row's provenance says `made` (its kind), `image` (the id of the row whose picture it is) and `text` (of the row whose text
and place it has).
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from globe.data.rows import Row, provenance_of
from globe.entities.matching import VISUAL, Known, known, named, thing_of
from globe.geo.countries import same_country
from globe.geo.distance import distance_km

OTHER_PICTURE, CUES_REMOVED = "other_picture", "cues_removed"
LENT = ("reasoning", "country", "city", "lat_deg", "lon_deg", "entities")
"""Fields that a row with the text of another one has from there; only its picture is its own."""

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_CLAUSE_END = re.compile(r"[,;:()—–]+\s*|\s-\s")
_MAIN_CLAUSE = re.compile(r"(?i)(this|it|the|i|we|there|these|everything|all)\b")
"""How a clause begins that can stand as a sentence of its own; "which suggests Lisbon" can't."""
_FEWEST_WORDS = 3
ELSEWHERE_KM = 200.0
"""The metric's "region": what is nearer may look alike, or be the same place under another name of its country."""
_WAITING_TEXTS = 256


def without_cues(row: Row, elements: Iterable[str] = ()) -> Row | None:
    """A row with its reasoning less what names something visible.

    Args:
        row: A row with a reasoning.
        elements: What else is known to be visible, in the teacher's words.

    Returns:
        None if nothing would be left that reads as text, or if the reasoning names nothing visible anyway.
    """
    things = known(map(thing_of, [*row.entities, *elements]), VISUAL)
    left = text_without(row.reasoning, things)
    if not left:
        return None
    return _made(CUES_REMOVED, row, row.id, {"reasoning": left, "entities": []}, row.provenance)


def with_text_of(row: Row, text: Mapping[str, Any]) -> Row:
    """A row with the reasoning and the place of another one.

    Args:
        row: The row whose picture it is.
        text: id, the fields of `LENT` and the provenance of the other row.
    """
    lent = {name: text[name] for name in LENT}
    return _made(OTHER_PICTURE, row, text["id"], lent, provenance_of(text))


def made_id(kind: str, row_id: str) -> str:
    """Id of the row that is made for a picture; the picture's own may be as long as an id can be, so nothing fits behind it."""
    return f"made:{kind}:{hashlib.sha256(row_id.encode()).hexdigest()[:24]}"


def text_without(text: str, things: Known) -> str:
    """A text less the sentences that name one of some things; if nothing is left, less the clauses.

    Returns:
        "" if nothing is left that reads as text, or if nothing is named.
    """
    sentences = [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    left = [sentence for sentence in sentences if not named(sentence, things)]
    if len(left) == len(sentences):
        return ""
    if not left:
        clauses = (clause.strip(" .!?…") for sentence in sentences for clause in _CLAUSE_END.split(sentence))
        left = [
            f"{clause[0].upper()}{clause[1:]}."
            for clause in clauses
            if _MAIN_CLAUSE.match(clause) and len(clause.split()) >= _FEWEST_WORDS and not named(clause, things)
        ]
    kept = " ".join(left)
    return kept if len(kept.split()) >= _FEWEST_WORDS else ""


class Lenders:
    """Lends each of some texts to at most one picture of another country, far away.

    Args:
        texts: Rows that can be located, as mappings of their fields; read as a stream, and only as far as is needed.
    """

    def __init__(self, texts: Iterator[Mapping[str, Any]]) -> None:
        self._texts = texts
        self._waiting: deque[Mapping[str, Any]] = deque(maxlen=_WAITING_TEXTS)
        """Passed over so far, since a picture of their own country was asked for; the oldest are forgotten."""

    def lend(self, picture: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The next text of another place than a picture's; None if there is none, or if the picture's country is not known.

        Args:
            picture: The fields of its row.
        """
        if not picture["country"]:
            return None
        for at, text in enumerate(self._waiting):
            if _elsewhere(text, picture):
                del self._waiting[at]
                return text
        for text in self._texts:
            if _elsewhere(text, picture):
                return text
            self._waiting.append(text)
        return None


def _elsewhere(text: Mapping[str, Any], picture: Mapping[str, Any]) -> bool:
    """Whether a text is of another country and far away: Hong Kong may be called a country or China, so names do not decide."""
    if not text["country"] or same_country(text["country"], picture["country"]):
        return False
    return distance_km(text["lat_deg"], text["lon_deg"], picture["lat_deg"], picture["lon_deg"]) >= ELSEWHERE_KM


def _made(kind: str, row: Row, text_id: str, changed: Mapping[str, Any], provenance: Mapping[str, str]) -> Row:
    origin = {name: value for name, value in provenance.items() if name != "localizable"}
    return row.model_copy(
        update={
            **changed,
            "id": made_id(kind, row.id),
            "localizable": False,
            "provenance": {**origin, "made": kind, "image": row.id, "text": text_id},
        }
    )
