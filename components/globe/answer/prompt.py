"""The prompt that asks where a photo was taken, and the check of a prompt that the user gives instead."""

import hashlib
import re

PROMPT = (
    "Where was this photo taken? Look for clues such as architecture, signs, plants, terrain and roads. "
    "Reason step by step inside <think></think>, naming only what you see. Then answer inside <answer></answer> "
    "with exactly two lines:\ncountry: NAME\ncity: NAME"
)
"""The user turn's text; the image comes before it. A recipe or ``--prompt FILE`` may give another."""
DIRECT_PROMPT = (
    "Where was this photo taken? Answer at once, without giving reasons, inside <answer></answer> "
    "with exactly two lines:\ncountry: NAME\ncity: NAME"
)
"""The same question for an answer alone: what the reasoning is worth shows in the difference."""

MAX_PROMPT_CHARS = 20_000
_PLACEHOLDER = re.compile(r"<(?:image|video|audio)>|<\|[^<>|]{1,40}\|>|\0")
"""What a chat template or ms-swift would read as a picture or as the end of a turn, and the NUL character."""


def usable_prompt(text: str) -> str:
    """A prompt of the user's own as it will be sent: without the blank space around it; empty stands for the default.

    Raises:
        ValueError: It is too long, or holds something that would be read as a second picture or as the end of the turn.
    """
    prompt = text.replace("\r\n", "\n").strip()
    if len(prompt) > MAX_PROMPT_CHARS:
        raise ValueError(f"a prompt of {len(prompt)} characters; at most {MAX_PROMPT_CHARS} are asked")
    found = _PLACEHOLDER.search(prompt)
    if found:
        raise ValueError(f"a prompt must not hold {found[0]!r}; the picture is put before it")
    return prompt


def prompt_sha256(prompt: str) -> str:
    """Digest of a prompt, by which an evaluation and a radius say what was asked."""
    return hashlib.sha256(prompt.encode("utf-8", "backslashreplace")).hexdigest()
