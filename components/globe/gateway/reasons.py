"""A model's reasons without any place in them, for those who may not be told the city.

Names can't be searched for and taken out: a place has names in every script, streets, shops and signs have names that no list
holds, and a text can hold a name backwards or letter by letter. So it is the other way round: a sentence is told only if each of
its words is on a closed list of things that a photo shows and of words that describe them. There is no name, no number, no
quotation, no point of the compass, no superlative and no letter beyond ASCII on that list.

What is made of such words may still be a name ("long beach", "golden gate bridge"). So capitals within a sentence are refused,
two or more words that the gazetteer knows as a place anywhere on Earth are, a word that is a place of the country in question
must stand in a phrase, and a phrase must be told as one of many: with "a", or in the plural.

In doubt a sentence is left out. Not stopped is a picture that tells the model how to hide a message in such sentences; whoever
made that picture needs a model that obeys it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from globe.entities.vocabulary import CLAUSE_WORDS, COLOURS, FUNCTION_WORDS, NOUNS, SIDES
from globe.entities.words import singular
from globe.geo.gazetteer import gazetteer

MAX_SENTENCES = 40
MAX_CHARS = 20_000
"""Of a model's reasons; what comes after is not looked at."""
LEAST_WORDS = 3
"""A sentence of fewer words says nothing."""
LONGEST_NAME = 4
"""Words of the longest name that could be made of listed ones."""

_TELLING = frozenset(
    """
arabic devanagari hebrew hangul hiragana katakana kanji pampa pampas island islands torii archway boulder boulders buffalo
buffaloes buffalos cypress cypresses lion lions orange oranges plantation plantations shoreline shorelines sunrise sunrises van
vans woodland woodlands
""".split()  # noqa: SIM905
)
"""Visual words that say where something is, rather than what, and names of large cities."""
_DESCRIBING = frozenset(
    """
small large big old new tall low short long wide narrow high flat steep curved straight round square thick thin dense sparse dry
wet lush clear cloudy overcast sunny shaded dusty sandy rocky grassy muddy snowy icy hilly mountainous tropical temperate arid
coastal rural urban suburban residential commercial industrial modern traditional historic ancient weathered faded painted tiled
paved unpaved cobbled gravelled wooden concrete metal wrought thatched pitched sloped arched domed carved decorated ornate plain
simple uniform colourful colorful solid dashed broken double single central main overhead utility electric power corrugated
rendered plastered timbered multi storey story floor evergreen deciduous bare leafy forested maintained busy quiet empty crowded
parked moving
""".split()  # noqa: SIM905
)
_SAYING = frozenset(
    """
i we you he she they one no not none nothing another each every all both other others such same similar can could may might must
seems seem seemed appears appear looks look looking suggests suggest suggesting indicates indicate indicating points point shows
show showing shown see seen sees visible visibly notice noticeable there here where which who photo photograph picture image
view scene foreground background middle distance corner edge front back top bottom centre center set stands stand standing grows
grow growing like line lines lined covered cover surrounded filled made built drives drive driving runs run running hangs hang
hanging rises rise rising lies lie lying consists typical common commonly usual usually often likely probably perhaps maybe
clearly also too very quite rather more less most much along around between above below into onto through across against next
inside outside up down off out as so then than when while if being been be do does did climate weather season light daylight day
night morning evening architecture style design type kind form shape colour color colours colors materials material feature
features detail details clue clues element elements area place places wear wears clothes clothing hats hat ground side sides
marking markings glass
""".split()  # noqa: SIM905
)
_CONTENT = (frozenset(NOUNS) | COLOURS | SIDES | _DESCRIBING) - _TELLING
LISTED = (_CONTENT | FUNCTION_WORDS | CLAUSE_WORDS | _SAYING) - _TELLING
"""Every word that is ever told."""
_ONE_OF_MANY = frozenset("a an some many few several these those another each every no".split())  # noqa: SIM905
_KNOWN_THINGS = frozenset(
    (
        "golden gate", "red square", "white house", "tower bridge", "table mountain", "black forest", "blue mosque", "stone town",
        "abbey road", "london eye", "brick lane", "bay bridge", "rock garden", "lion rock", "black sea", "red sea", "dead sea",
        "white tower", "golden temple", "golden rock", "golden horn", "round tower", "clock tower square", "forest park",
        "rice terraces", "flower market", "peak tram", "star ferry", "bridge market", "chain bridge", "covered bridge street",
    )
)  # fmt: skip
"""Landmarks whose names are made of listed words; a phrase with one of them is refused whatever stands before it."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|[\r\n]+")
_MARKS = re.compile(r"^[\s\-*•]+")
_PLAIN = re.compile(r"[A-Za-z ,;:()\-]+[.!]?")
_WORD = re.compile(r"[A-Za-z]+")
_PART = re.compile(r"[A-Za-z]+|[,;:()]")
"""A word, or a mark that ends a phrase."""


def coarse_reasons(reasoning: str, countries: Collection[str]) -> tuple[str, bool]:
    """The sentences of a reasoning that name no place.

    Args:
        reasoning: What a model wrote.
        countries: ISO codes of the countries that the answer is about: a word that is a place there is taken for it.

    Returns:
        The sentences, and whether any was left out.
    """
    sentences = [_MARKS.sub("", sentence).strip() for sentence in _SENTENCE.split(reasoning[:MAX_CHARS])]
    sentences = [sentence for sentence in sentences if sentence]
    told: list[str] = []
    before: list[str] = []
    for sentence in sentences[:MAX_SENTENCES]:
        words = _listed_words(sentence)
        if words and not _names_a_place(words, before) and not _may_stand_for_one(sentence, countries):
            told.append(sentence)
            before = [*before, *words][1 - LONGEST_NAME :]
    return " ".join(told), len(told) < len(sentences) or len(reasoning) > MAX_CHARS


def _listed_words(sentence: str) -> list[str]:
    """A sentence's words in lower case; empty if it has one that is not listed, or anything beside words."""
    if not _PLAIN.fullmatch(sentence) or not (words := _WORD.findall(sentence)):
        return []
    first, others = words[0], [word for word in words[1:] if word != "I"]
    if len(words) < LEAST_WORDS or not all(word.islower() for word in (*others, first[1:] or "a")):
        return []
    lower = [word.lower() for word in words]
    return lower if all(word in LISTED for word in lower) else []


def _names_a_place(words: Sequence[str], before: Sequence[str]) -> bool:
    """Whether some words in a row are a place's name, beginning perhaps in the sentence before."""
    together = [*before, *words]
    for length in range(2, LONGEST_NAME + 1):
        for start in range(len(together) - length + 1):
            if start + length <= len(before):
                continue
            part = together[start : start + length]
            is_one_of_many = length == 2 and part[0] in ("a", "an")  # "a tall" is no name, though Syria has a place At Tall
            if not _CONTENT.isdisjoint(part) and not is_one_of_many and _is_place("".join(part)):
                return True
    return any(thing in " ".join(words) for thing in _KNOWN_THINGS)


def _may_stand_for_one(sentence: str, countries: Collection[str]) -> bool:
    """Whether a word or a phrase stands as a name does."""
    parts = _PART.findall(sentence.lower())
    return any(_is_name_alone(parts, at, countries) for at in range(len(parts))) or any(map(_is_a_known_one, _phrases(parts)))


def _is_name_alone(words: Sequence[str], at: int, countries: Collection[str]) -> bool:
    """Whether a word is a place of these countries and stands as only names do, with no article and in no phrase."""
    word = words[at]
    if word not in _CONTENT or not any(_places(code, word) for code in countries):
        return False
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
    return not (before in _ONE_OF_MANY or before == "the" or before in _CONTENT or after in _CONTENT)


def _phrases(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Runs of two and more words that name or describe things, each with the word before it."""
    found: list[tuple[str, list[str]]] = []
    start = 0
    for at in range(len(words) + 1):
        if at < len(words) and words[at] in _CONTENT:
            continue
        if at - start > 1:
            found.append((words[start - 1] if start else "", list(words[start:at])))
        start = at + 1
    return found


def _is_a_known_one(phrase: tuple[str, Sequence[str]]) -> bool:
    """Whether a phrase tells of one certain thing, as a name does: "the golden gate bridge", but "a stone bridge"."""
    before, words = phrase
    nouns = [word for word in words if word in NOUNS and word not in _DESCRIBING]
    is_plural = words[-1] in NOUNS and singular(words[-1]) != words[-1]
    return len(nouns) > 1 and before not in _ONE_OF_MANY and not is_plural


@lru_cache(maxsize=200_000)
def _is_place(name_key: str) -> bool:
    """Whether any country has a place of this name."""
    gaz = gazetteer()
    return any(gaz.find(code, name_key) for code in gaz.countries)


@lru_cache(maxsize=20_000)
def _places(code: str, word: str) -> bool:
    return bool(gazetteer().find(code, word))
