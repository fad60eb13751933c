"""Whether what an engine sent is a whole answer: nothing else is ever passed on as one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

WHOLE = ("stop", "length")
"""Why an answer ended, if it is whole. An engine that is shut down says `abort`, with half an answer and status 200."""


class BrokenOff(Exception):
    """What came is no whole answer."""


class Answer(dict[str, Any]):
    """A chat completion, and the digest of the checkpoint that gave it (empty if the engine doesn't say)."""

    digest: str = ""


def whole(body: bytes, choices: int) -> Answer:
    """A chat completion, read.

    Args:
        body: What the engine sent.
        choices: How many answers were asked for.

    Raises:
        BrokenOff: It isn't one, or one of its choices isn't whole.
    """
    try:
        found = Answer(json.loads(body))
        ends = [choice["finish_reason"] for choice in found["choices"]]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise BrokenOff("no chat completion") from None
    if len(ends) != choices or any(end not in WHOLE for end in ends):
        raise BrokenOff("an answer that is not whole")
    return found


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each server-sent event in a stream, which may be cut anywhere."""
    rest = b""
    async for piece in pieces:
        *found, rest = (rest + piece).split(b"\n\n")
        for event in found:
            if event.startswith(b"data: "):
                yield event[6:]


class Progress:
    """How far a streamed answer has come."""

    def __init__(self, choices: int) -> None:
        self._open = set(range(choices))
        self.done = False
        """Whether the stream has said that it is over."""

    def take(self, event: bytes) -> dict[str, Any] | None:
        """One event's chunk; None for the last event.

        Raises:
            BrokenOff: It isn't one, or it ends an answer that is not whole.
        """
        if event == b"[DONE]":
            if self._open:
                raise BrokenOff("a stream that ended before its answer")
            self.done = True
            return None
        try:
            chunk: Mapping[str, Any] = json.loads(event)
            for choice in chunk["choices"]:
                if (end := choice["finish_reason"]) is not None:
                    if end not in WHOLE:
                        raise BrokenOff("an answer that is not whole")
                    self._open.discard(choice["index"])
        except (ValueError, TypeError, LookupError, RecursionError):
            raise BrokenOff("a stream with something else in it") from None
        return dict(chunk)
