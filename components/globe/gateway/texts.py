"""Texts on their way in: whatever a chat template or a tokenizer would read as more than text is taken apart."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"<(?=\|)|<(?=(?:image|video|audio)>)")


def neutralised(text: str) -> str:
    """A text without anything that a model's tokenizer takes for a special token."""
    return _SPECIAL.sub("< ", text).replace("\0", "")
