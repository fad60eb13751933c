"""The parts of the answer grammar: its tags, its keys in several languages, and how a value loses the marks around it."""

import re

TAG = re.compile(r"<[ \t]{0,3}(/?)[ \t]{0,3}(think|answer)[ \t]{0,3}>", re.IGNORECASE)
_COLON = r"[:：﹕︰∶꞉]"
_INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"  # zero width: spaces, and marks of byte order and of text direction
_COUNTRY_KEYS = (
    "country|país|pais|pays|paese|land|kraj|страна|країна|ülke|negara|quốc gia|χώρα|الدولة|البلد|देश|ประเทศ|国家|國家|国|國|국가"
)
_CITY_KEYS = (
    "city|town|village|ciudad|ville|stadt|stad|cidade|città|miasto|город|місто|"
    "şehir|kota|thành phố|πόλη|المدينة|शहर|เมือง|城市|都市|도시"
)
_REGION_KEYS = "region|state|province|state/province|state/region|región|provincia|région|bundesland|регион|州|省"
# A key opens a line (after list marks, emphasis, quotes) or follows a separator or blank space within one. Only marks on its
# own line belong to it, for the line before may end in a number ("District 9"). Bounded repeats keep the search linear on
# hostile text. "_" is emphasis here, not part of a word, so "\b" would not do.
KEY = re.compile(
    rf"(?:^|(?<=[\n,;|/.。，、；\s*_{{\[(])|(?<=\.\s))[ \t\xa0\u3000>#*_`\"'“”•·–—\-\d.(){{\[{_INVISIBLE}]{{0,12}}?"
    rf"(?<![^\W_])(?:(?P<country>{_COUNTRY_KEYS})|(?P<city>{_CITY_KEYS})|(?P<region>{_REGION_KEYS}))(?![^\W_])"
    rf"(?:[ \t]name)?(?:[ \t]?/[ \t]?\w{{1,12}})?[*_`\"'”]{{0,4}}[ \t]{{0,4}}{_COLON}",
    re.IGNORECASE,
)
_PAIRS = (
    ("**", "**"), ("__", "__"), ("~~", "~~"), ("*", "*"), ("_", "_"), ("`", "`"), ('"', '"'), ("'", "'"), ("“", "”"),
    ("«", "»"), ("[", "]"), ("{", "}"), ("<", ">"), ("「", "」"), ("『", "』"), ("《", "》"), ("【", "】"),
)  # fmt: skip
_BRACKETS = (("{", "}"), ("[", "]"), ("(", ")"))
_BREAK = re.compile(r"</?(?:br|p|li|ul|ol|div|country|city|region|state)[ \t]?/?>", re.IGNORECASE)
_ELEMENT = re.compile(r"<(country|city|region|state)>", re.IGNORECASE)
_INLINE = re.compile(r"</?(?:b|i|u|strong|em|code|span)>", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]\n]{1,80})\]\([^()\s]{0,200}\)")
_CUT_TAG = re.compile(r"<[ \t]{0,3}/?[ \t]{0,3}[a-z]{0,6}\s*\Z", re.IGNORECASE)  # a close tag that a cut-off left unfinished
_SPACE = re.compile(r"\s+")
_TRAILING, _LEADING = ",;|，、；*_`" + _INVISIBLE, ",;|*_`" + _INVISIBLE


def clean(value: str) -> str:
    """A value as the parser returns it: one line, no emphasis or quotes around, no separator at the end."""
    text = _SPACE.sub(" ", value).strip()
    while text:
        before = text
        text = text.rstrip(_TRAILING).lstrip(_LEADING).strip()
        for left, right in _PAIRS:
            if len(text) > len(left) + len(right) - 1 and text.startswith(left) and text.endswith(right):
                text = text[len(left) : -len(right)].strip()
        for left, right in _BRACKETS:  # brackets around the whole answer leave one end in each value
            if text.endswith(right) and left not in text:
                text = text[:-1].strip()
            elif text.startswith(left) and right not in text:
                text = text[1:].strip()
        if text == before:
            break
    return "" if text and not any(c.isalnum() for c in text) else text


def unmarked(body: str) -> str:
    """A text without HTML and links; elements named like a key become that key."""
    if "<" in body:
        body = _INLINE.sub("", _BREAK.sub("\n", _ELEMENT.sub(r"\n\1: ", _CUT_TAG.sub("", body))))
    return _LINK.sub(r"\1", body) if "](" in body else body
