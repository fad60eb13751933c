"""The parser: what a completion says, part by part.

    <think>reasoning</think><answer>country: X
    city: Y</answer>

It takes what models really write: any case, bold, list marks, quotes, both parts on one line, blank lines, full-width colons,
keys in a few other languages, values in any script, close tags missing at a cut-off, and no tags at all when the text is
nothing but the answer. It never takes a place from the reasoning, and of several answers none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from globe.answer.grammar import KEY, TAG, clean, unmarked

MAX_ANSWER_CHARS = 2000
"""An answer block longer than this is no answer; models' answers have about 40 characters."""

MAX_TEXT_CHARS = 4_000_000
"""Longer texts are not read at all."""


class Answer(NamedTuple):
    """What a completion says.

    Attributes:
        reasoning: Text between the think tags (up to the end when the close tag is missing), None without any.
        country: Country as written, without marks and blank space around; None when missing.
        city: City as written, likewise.
        region: State or region when a line gives one, likewise.
        complete: Both blocks closed, nothing missing, nothing ambiguous.
        missing: Of "reasoning", "answer", "country", "city": what the text lacks.
        ambiguous: Several answers, or several countries or cities in one: none of them was taken.
        exact: Written to the letter of the grammar, with nothing around or between but blank space between the blocks.
        closed: The answer block has its close tag, so that nothing of it can have been cut off.
    """

    reasoning: str | None = None
    country: str | None = None
    city: str | None = None
    region: str | None = None
    complete: bool = False
    missing: tuple[str, ...] = ("reasoning", "answer", "country", "city")
    ambiguous: bool = False
    exact: bool = False
    closed: bool = False


_VALUE = r"[^\n:*_`\"“\[<]+"
_EXACT = re.compile(rf"<think>[^<]*</think>\s*<answer>\s*(?i:country):{_VALUE}\n\s*(?i:city):{_VALUE}\s*</answer>")
"""The grammar to the letter, with values that need no cleaning."""


def parse(text: str) -> Answer:
    """Reads a completion. Never raises; see :class:`Answer` for what it reports."""
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARS:
        return Answer()
    tags = _tags(text)
    if tags is None:
        return Answer(missing=("reasoning", "country", "city"), ambiguous=True)
    reasoning, thought_closed, blocks = _blocks(text, tags)
    missing = [] if reasoning else ["reasoning"]
    if len(blocks) != 1:
        if not blocks:
            missing.append("answer")
        closed = bool(blocks) and all(whole for _, whole in blocks)
        return Answer(reasoning, missing=(*missing, "country", "city"), ambiguous=len(blocks) > 1, closed=closed)
    body, closed = blocks[0]
    country, city, region, ambiguous = _fields(body)
    if country is None:
        missing.append("country")
    if city is None:
        missing.append("city")
    complete = thought_closed and closed and not missing and not ambiguous
    exact = complete and _EXACT.fullmatch(text) is not None
    return Answer(reasoning, country, city, region, complete, tuple(missing), ambiguous, exact, closed)


_SPECIAL = re.compile(r"<\|[^<>|]{1,40}\|>")
"""A tokenizer's special token, such as the end of a turn."""
_WORD = re.compile(r"[^\W_]")

_Blocks = tuple[str | None, bool, list[tuple[str, bool]]]


MAX_TAGS = 64
"""A text with more tags than this has no one answer in it."""

MAX_BRACKETS = 2000
"""Nor a text with more "<" than this; counting them first keeps the search for tags short on hostile text."""

_Tag = tuple[int, int, bool, bool]  # start, end, closing, of think


def _tags(text: str) -> list[_Tag] | None:
    """The grammar's tags in order; None for more of them than a text with one answer could have."""
    if text.count("<") > MAX_BRACKETS:
        return None
    tags: list[_Tag] = []
    for m in TAG.finditer(text):
        tags.append((m.start(), m.end(), bool(m.group(1)), m.group(2)[0] in "tT"))
        if len(tags) > MAX_TAGS:
            return None
    return tags


def _blocks(text: str, tags: list[_Tag]) -> _Blocks:
    """Splits a text into the reasoning, whether it was closed, and the answer blocks outside it with "was closed"."""
    if not tags:
        return None, False, _bare(text)
    # The reasoning runs from the first think tag (or the start) to the LAST close tag: nothing before that is an answer
    # unless it stands before the reasoning began.
    opens = [t for t in tags if t[3] and not t[2]]
    closes = [t for t in tags if t[3] and t[2]]
    start, body_start = (opens[0][0], opens[0][1]) if opens else (0, 0)
    if closes and not (opens and closes[-1][0] < start):
        body_end, end, thought_closed = closes[-1][0], closes[-1][1], bool(opens)
    elif opens:  # never closed: up to the answer tag after it, else to the end
        after = [t for t in tags if not t[3] and t[0] >= body_start]
        # Where text goes on after the answer, it was one of the reasoning's: "maybe <answer>..</answer> but no, the signs".
        goes_on = bool(after) and after[-1][2] and _WORD.search(_SPECIAL.sub("", text[after[-1][1] :])) is not None
        opened = [] if goes_on else [t for t in after if not t[2]]
        body_end = end = opened[0][0] if opened else len(text)
        thought_closed = False
    else:
        start = body_start = body_end = end = 0
        thought_closed = False
    reasoning = text[body_start:body_end].strip() or None
    blocks: list[tuple[str, bool]] = []
    answer_tags = [t for t in tags if not t[3] and not (start <= t[0] < end)]
    for i, (_, tag_end, closing, _) in enumerate(answer_tags):
        if closing:
            continue
        following = answer_tags[i + 1] if i + 1 < len(answer_tags) else None
        stop = following[0] if following else len(text)
        if tag_end <= start < stop:
            stop = start
        blocks.append((text[tag_end:stop], bool(following and following[2])))
    if not answer_tags and end:
        blocks = _bare(text[end:])
    elif len(answer_tags) == 1 and not blocks and end:  # only a close tag is left: the text between is the answer
        blocks = [(text[end : answer_tags[0][0]], False)]
    return reasoning, thought_closed, blocks


def _bare(text: str) -> list[tuple[str, bool]]:
    """A text without tags counts as an answer only when it opens with a key: anything else is reasoning."""
    head = text[: MAX_ANSWER_CHARS + 1].strip()
    if len(text) > MAX_ANSWER_CHARS and len(text.strip()) > MAX_ANSWER_CHARS:
        return []
    found = KEY.search(head)
    if found is None or any(c.isalnum() for c in head[: found.start()]):
        return []
    return [(head, False)]


def _fields(body: str) -> tuple[str | None, str | None, str | None, bool]:
    """Country, city and region of an answer block, and whether it names one of them twice."""
    if len(body) > MAX_ANSWER_CHARS:
        return None, None, None, False
    body = unmarked(body)
    found = list(KEY.finditer(body))
    values: dict[str, str] = {}
    for i, match in enumerate(found):
        name = match.lastgroup or ""
        end = found[i + 1].start() if i + 1 < len(found) else len(body)
        value = clean(_first_line(body[match.end() : end]))
        if name in values:
            return None, None, None, True
        values[name] = value
    return values.get("country") or None, values.get("city") or None, values.get("region") or None, False


def _first_line(value: str) -> str:
    """The first line of a value that says anything; models leave blank lines also between key and value."""
    return next((line for line in _LINE_END.split(value) if line.strip(" \t*_`\u3000\xa0")), "")


_LINE_END = re.compile(r"[\r\n\u2028\u2029\x0b\x0c\x85]")
