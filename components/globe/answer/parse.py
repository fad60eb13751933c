"""The parser: what a completion says, part by part.

    <think>reasoning</think><answer>country: X
    city: Y</answer>

It takes what models really write: any case, bold, list marks, quotes, both parts on one line, blank lines, full-width colons,
keys in a few other languages, values in any script, close tags missing at a cut-off, and no tags at all when the text is
nothing but the answer. It never takes a place from the reasoning, and of several answers it takes none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from globe.answer.grammar import KEY, TAG, clean, unmarked

MAX_TEXT_CHARS = 4_000_000
"""Longer texts are not read at all."""
MAX_ANSWER_CHARS = 2000
"""An answer block longer than this is no answer; models' answers have about 40 characters."""
MAX_TAGS = 64
"""A text with more tags than this has no one answer in it."""
MAX_BRACKETS = 2000
"""Nor does a text with more "<" than this; counting them first keeps the search for tags short on hostile text."""

_SPECIAL_TOKEN = re.compile(r"<\|[^<>|]{1,40}\|>")
"""A tokenizer's special token, such as the end of a turn."""
_WORD = re.compile(r"[^\W_]")
_LINE_END = re.compile(r"[\r\n\u2028\u2029\x0b\x0c\x85]")


class Answer(NamedTuple):
    """What a completion says.

    Attributes:
        reasoning: Text between the think tags (up to the end when the close tag is missing), None without any.
        country: Country as written, without the marks and blank space around it; None when missing.
        city: City as written, likewise.
        region: State or region when a line gives one, likewise.
        complete: Both blocks closed, nothing missing, nothing ambiguous.
        missing: Of "reasoning", "answer", "country", "city": what the text lacks.
        ambiguous: Several answers, or several countries or cities in one: none of them was taken.
        closed: The answer block has its close tag, so that nothing of it can have been cut off.
    """

    reasoning: str | None = None
    country: str | None = None
    city: str | None = None
    region: str | None = None
    complete: bool = False
    missing: tuple[str, ...] = ("reasoning", "answer", "country", "city")
    ambiguous: bool = False
    closed: bool = False


class _Tag(NamedTuple):
    """A tag of the grammar and where it stands."""

    start: int
    end: int
    name: str
    closing: bool


class _Block(NamedTuple):
    """The text of an answer block, and whether it has its close tag."""

    text: str
    closed: bool


class _Reasoning(NamedTuple):
    """The reasoning: where its tags begin and end, its text, and whether both tags are there."""

    start: int = 0
    end: int = 0
    text: str = ""
    closed: bool = False


def parse(text: str) -> Answer:
    """Reads a completion. Never raises; see :class:`Answer` for what it reports."""
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARS:
        return Answer()
    tags = _tags(text)
    if tags is None:
        return Answer(missing=("reasoning", "country", "city"), ambiguous=True)
    thought = _reasoning(text, tags)
    blocks = _blocks(text, tags, thought)
    reasoning = thought.text.strip() or None
    missing = [] if reasoning else ["reasoning"]
    if len(blocks) != 1:
        if not blocks:
            missing.append("answer")
        closed = bool(blocks) and all(block.closed for block in blocks)
        return Answer(reasoning, missing=(*missing, "country", "city"), ambiguous=len(blocks) > 1, closed=closed)
    fields, ambiguous = _fields(blocks[0].text)
    country, city = fields.get("country"), fields.get("city")
    missing += [name for name in ("country", "city") if name not in fields]
    closed = blocks[0].closed
    complete = thought.closed and closed and not missing and not ambiguous
    return Answer(reasoning, country, city, fields.get("region"), complete, tuple(missing), ambiguous, closed)


def _tags(text: str) -> list[_Tag] | None:
    """The grammar's tags in order; None for more of them than a text with one answer could have."""
    if text.count("<") > MAX_BRACKETS:
        return None
    tags: list[_Tag] = []
    for found in TAG.finditer(text):
        tags.append(_Tag(found.start(), found.end(), found[2].lower(), bool(found[1])))
        if len(tags) > MAX_TAGS:
            return None
    return tags


def _reasoning(text: str, tags: list[_Tag]) -> _Reasoning:
    """The reasoning runs from the first open tag (or the start) to the LAST close tag: what is between is never an answer."""
    opened = next((tag for tag in tags if tag.name == "think" and not tag.closing), None)
    closed = next((tag for tag in reversed(tags) if tag.name == "think" and tag.closing), None)
    if opened is None:
        return _Reasoning(0, closed.end, text[: closed.start]) if closed else _Reasoning()
    if closed and closed.start >= opened.start:
        return _Reasoning(opened.start, closed.end, text[opened.end : closed.start], True)
    # Never closed: it ends where an answer begins, unless text goes on after that answer. Then the answer was one of the
    # reasoning's own ("maybe <answer>..</answer> but no, the signs"), and the reasoning runs to the end.
    later = [tag for tag in tags if tag.name == "answer" and tag.start >= opened.end]
    answer = next((tag for tag in later if not tag.closing), None)
    goes_on = bool(later) and later[-1].closing and _WORD.search(_SPECIAL_TOKEN.sub("", text[later[-1].end :])) is not None
    end = answer.start if answer and not goes_on else len(text)
    return _Reasoning(opened.start, end, text[opened.end : end])


def _blocks(text: str, tags: list[_Tag], thought: _Reasoning) -> list[_Block]:
    """The answer blocks outside the reasoning."""
    outside = [tag for tag in tags if tag.name == "answer" and not thought.start <= tag.start < thought.end]
    if not outside:
        return _bare(text[thought.end :]) if thought.end or not tags else []
    blocks = []
    for tag, following in zip(outside, [*outside[1:], None], strict=False):
        if tag.closing:
            continue
        stop = following.start if following else len(text)
        if tag.end <= thought.start < stop:
            stop = thought.start
        blocks.append(_Block(text[tag.end : stop], bool(following and following.closing)))
    if not blocks and len(outside) == 1 and thought.end:  # the open tag is missing: the text after the reasoning is the answer
        return [_Block(text[thought.end : outside[0].start], False)]
    return blocks


def _bare(text: str) -> list[_Block]:
    """A text without tags counts as an answer only when it opens with a key: anything else is reasoning."""
    text = text.strip()
    if len(text) > MAX_ANSWER_CHARS:
        return []
    found = KEY.search(text)
    if found is None or _WORD.search(text[: found.start()]):
        return []
    return [_Block(text, False)]


def _fields(body: str) -> tuple[dict[str, str], bool]:
    """Country, city and region of an answer block, those that it gives, and whether it gives one of them twice."""
    if len(body) > MAX_ANSWER_CHARS:
        return {}, False
    body = unmarked(body)
    keys = list(KEY.finditer(body))
    values: dict[str, str] = {}
    for found, following in zip(keys, [*keys[1:], None], strict=False):
        name = found.lastgroup or ""
        if name in values:
            return {}, True
        values[name] = clean(_first_line(body[found.end() : following.start() if following else len(body)]))
    return {name: value for name, value in values.items() if value}, False


def _first_line(value: str) -> str:
    """The first line of a value that says anything; models leave blank lines also between key and value."""
    return next((line for line in _LINE_END.split(value) if line.strip(" \t*_`\u3000\xa0")), "")
