"""Names made comparable: one key for every spelling of a name that differs only in writing.

The key drops case, accents, punctuation and blank space and unifies a few abbreviations ("Saint" and "St."), in any
script. It never guesses: two names have the same key or they do not.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Letters that Unicode does not decompose into a base letter and a mark (values may have several letters), and Arabic
# letters that Persian and Urdu write with other code points.
_SPECIAL = str.maketrans(
    {
        "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ħ": "h", "ŋ": "n", "ŧ": "t",
        "ə": "e", "ʻ": "", "ʼ": "", "ʹ": "", "ʺ": "", "ʾ": "", "ʿ": "", "ˈ": "", "'": "", "’": "", "‘": "", "`": "",
        "´": "", "′": "", "״": "", "׳": "", "ـ": "", "ی": "ي", "ى": "ي", "ک": "ك", "ة": "ه", "ۀ": "ه", "ھ": "ه", "ہ": "ه",
        "&": " and ", "ヶ": "ケ", "ヵ": "カ", "臺": "台",
    }
)  # fmt: skip
_ASCII_SPECIAL = str.maketrans({"'": "", "`": "", "&": " and "})
# Accents and vowel points: combining class 200 and more or 10 to 35, written as ranges because finding them costs 0.1 s.
_MARKS = re.compile(
    "[\u0300-\u0333\u0339-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u1ab0-\u1ace\u1dc0-\u1dff\u20d0-\u20dc\u20e1\ufe20-\ufe2f]+"
)
_INITIALS = re.compile(r"\b(\w)\.(?=\w\b)")  # "D.C." is "DC", but "St.Louis" is "St Louis"
# What separates words. Python's \w leaves out the vowel signs of Indic and South-East Asian scripts, which are part of the
# name: their blocks are kept, but for their punctuation.
_NOT_WORD = re.compile(
    r"(?:[^\w\u0900-\u0dff\u0e00-\u0fff\u1000-\u109f\u1700-\u17ff\u1a20-\u1aad\u1b00-\u1bff\u0780-\u07b1]"
    r"|[_\u0964\u0965\u0e2f\u0e3f\u0e4f\u0e5a\u0e5b\u0f01-\u0f14\u104a-\u104f\u17d4-\u17da])+"
)
_ABBREVIATIONS = {"saint": "st", "sainte": "st", "ste": "st", "mount": "mt", "fort": "ft", "sankt": "st"}
MAX_NAME_CHARS = 200
"""A longer text is no name; the key of one is empty, so that hostile input costs nothing."""


def fold(text: str) -> str:
    """Lower case without accents: ``"São Paulo"`` gives ``"sao paulo"``; scripts other than Latin stay themselves.

    Marks are dropped where they are accents (combining class 200 and more, Hebrew points, Arabic vowel signs), kept
    where they carry the vowel (Indic scripts, Thai) or make another letter (Japanese voicing).
    """
    if text.isascii():
        return text.lower().translate(_ASCII_SPECIAL)
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_SPECIAL))
    kept = _MARKS.sub("", decomposed).lower()  # "№" decomposes to "No"
    if kept.isascii():
        return kept.translate(_ASCII_SPECIAL)
    return unicodedata.normalize("NFC", kept).translate(_SPECIAL)


def words(name: str) -> list[str]:
    """The folded words of a name: ``"St. Mary's"`` gives ``["st", "marys"]``. Empty for texts too long for a name."""
    if len(name) > MAX_NAME_CHARS:
        return []
    text = _INITIALS.sub(r"\1", fold(name))
    found = _NOT_WORD.sub(" ", text).split()
    return [_ABBREVIATIONS.get(word, word) for word in found]


def key(name: str) -> str:
    """The key under which two spellings of one name meet: folded words without blank space (``"New York"``: newyork)."""
    return _key(name) if len(name) <= MAX_NAME_CHARS else ""  # a long text is not remembered either


@lru_cache(maxsize=65536)  # the same names come up again and again: a truth's, and in every answer
def _key(name: str) -> str:
    return "".join(words(name))
