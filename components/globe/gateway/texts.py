"""Texts on their way in: what a client wrote stays text, and is never taken for a mark of the chat.

A chat template joins marks such as `<|im_start|>` and people's texts into one string, in which the tokenizer then finds marks
wherever they stand. A text that holds one could end its own turn, speak as the system, or promise a picture that is not there.
So a space is put into each: `< |im_start|>` reads the same and is none. What the tokenizer of the checkpoint calls special is
known from its own file; the marks of the models that GLOBE is made of are known without one.

`<think>` and `<answer>` stay as they are: they are plain text to these models, and the question that GLOBE asks has them.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from globe.errors import InputError

_PAIRED = ("img", "box", "quad", "ref", "tool_call", "tool_response", "tools", "image", "video", "audio", "s")
_SINGLE = ("IMG_CONTEXT", "IMG_START", "IMG_END", "bos", "eos", "pad", "unk", "mask", "start_of_turn", "end_of_turn")
KNOWN = frozenset(f"<{name}>" for name in (*_PAIRED, *(f"/{name}" for name in _PAIRED), *_SINGLE))
"""Marks that do not start with `<|`, of Qwen2.5-VL, InternVL3 and their kin; every `<|` is broken whatever follows."""
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_WIDE = {"＜": "<", "﹤": "<", "＞": ">", "﹥": ">", "｜": "|", "︱": "|", "／": "/", "＿": "_"}
"""What a tokenizer that normalises compatibility characters makes of them."""
_FOLD = str.maketrans(_WIDE | {letter: letter.lower() for letter in string.ascii_uppercase})
_LETTERS = {plain: "".join(wide for wide, same in _WIDE.items() if same == plain) for plain in "<>|/_"}


def neutralised(text: str, specials: Iterable[str] = ()) -> str:
    """A client's text in which nothing acts as a special token, and which reads the same.

    Control characters but tabs and ends of lines become spaces; lone surrogates, which nothing can encode, become U+FFFD.

    Args:
        text: Anything.
        specials: What the served tokenizer calls special, as `special_tokens` gives it, beside what is known anyway.
    """
    text = _SURROGATES.sub("\ufffd", _UNSEEN.sub(" ", text))
    return _marks(KNOWN.union(specials)).broken(text)


def special_tokens(checkpoint: Path) -> frozenset[str]:
    """What the tokenizer in a checkpoint's folder calls special; nothing for a folder without one.

    Raises:
        InputError: Its file cannot be read.
    """
    path = checkpoint / "tokenizer.json"
    try:
        added = json.loads(path.read_text(encoding="utf-8"))["added_tokens"] if path.is_file() else []
        return frozenset(token["content"] for token in added if token["special"] and len(token["content"]) > 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__}); copy the checkpoint again") from None


class _Marks:
    """Marks of a chat, to be found in texts however they are spelled."""

    def __init__(self, marks: frozenset[str]) -> None:
        longest_first = sorted({"<|", *marks}, key=lambda mark: (-len(mark), mark))
        self._pattern = re.compile("|".join(_spelled(mark) for mark in longest_first), re.IGNORECASE)
        folded = [mark.translate(_FOLD) for mark in longest_first]
        self._beginnings = {mark[:end] for mark in folded for end in range(1, len(mark) + 1)}
        self._longest = len(longest_first[0])

    def broken(self, text: str) -> str:
        """A text with a space in each of them."""
        return self._open_end(self._pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text))

    def _open_end(self, text: str) -> str:
        """A text whose last characters may begin a mark that the text after it, which a template puts there, completes."""
        tail = text[-self._longest :].translate(_FOLD)
        for start in range(len(tail)):
            if tail[start:] in self._beginnings:
                at = len(text) - len(tail) + start + 1
                return f"{text[:at]} {text[at:]}"
        return text


def _spelled(mark: str) -> str:
    """A mark as a pattern that its wide forms match, too."""
    return "".join(f"[{re.escape(letter + _LETTERS[letter])}]" if letter in _LETTERS else re.escape(letter) for letter in mark)


@lru_cache(maxsize=4)
def _marks(marks: frozenset[str]) -> _Marks:
    """One for each tokenizer; there is one in a process, and tests have more."""
    return _Marks(marks)
