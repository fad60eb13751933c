"""Texts as words: how a text is cut into them, and which forms are of one word."""

from __future__ import annotations

import re
from functools import lru_cache

from globe.geo.normalize import fold

_SEPARATORS = '-/\\"*_[]`{}<>|#$%&+=@^~\t“”„«»–—‑•·→'
_STOPS = ";:!?\n\r…。！？；："
_COMMAS = "()（），、"
"""What stands in parentheses is an insertion, as between commas."""
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_MARKS = (
    {ord(mark): " " for mark in _SEPARATORS}
    | {ord(mark): "." for mark in _STOPS}
    | {ord(mark): "," for mark in _COMMAS}
    | {ord(mark): "'" for mark in "‘’"}
    | {ord(mark): None for mark in _INVISIBLE}
    | dict.fromkeys(range(0xD800, 0xE000))  # half characters, which a broken tokenizer leaves
)
_APOSTROPHES = re.compile(r"'s\b|(?<!\w)'|'(?!\w)")
"""A possessive's ending, and quotes around a word. Those within a word stay: "isn't"."""


def tokenize(text: str) -> list[str]:
    """Lower-case words of a text in order, with "." where a sentence or clause ends and "," for commas and parentheses."""
    return [token for chunk in text.split(" ") for token in _tokens[chunk]]


class _Tokens(dict[str, list[str]]):
    """The words in each stretch of text without spaces. Remembers many of those that are short, for most come up again."""

    def __missing__(self, chunk: str) -> list[str]:
        plain = chunk.lower().translate(_MARKS)
        if "'" in plain:
            plain = _APOSTROPHES.sub("", plain)
        tokens = plain.replace(".", " . ").replace(",", " , ").split()
        if len(chunk) <= _SHORT:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[chunk] = tokens
        return tokens


_SHORT, _REMEMBERED = 30, 65536
_tokens = _Tokens()


_IRREGULAR = {
    "cactus": "cacti", "calf": "calves", "canoe": "canoes", "child": "children", "foot": "feet", "goose": "geese",
    "headscarf": "headscarves", "hoof": "hooves", "leaf": "leaves", "loaf": "loaves", "man": "men", "people": "peoples",
    "person": "persons", "scarf": "scarves", "sheep": "sheep", "shelf": "shelves", "shoe": "shoes", "wharf": "wharves",
    "wolf": "wolves", "woman": "women",
}  # fmt: skip
_SINGULARS = {plural: word for word, plural in _IRREGULAR.items()}


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """The singular of a lower-case English noun, without accents: ``"churches"`` gives ``"church"``.

    A rule for regular plurals and a list of others, so that other words may change too; all forms of one still meet.
    """
    word = word if word.isascii() else fold(word)
    if word in _SINGULARS:
        return _SINGULARS[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "tzes", "oes")):
        return word[:-2]
    if word.endswith("uses") and not word.endswith(("auses", "ouses")):  # "buses", but "houses"
        return word[:-2]
    return _SINGULARS.get(word[:-1], word[:-1])


def plural(word: str) -> str:
    """The plural of an English noun, by rule."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and len(word) > 2 and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
