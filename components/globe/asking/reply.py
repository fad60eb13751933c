"""What a server sent back, read without trusting it: a whole chat completion, or a stream of its pieces.

Servers and the proxies before them send pages of HTML, nothing at all, errors with status 200, and streams that end early.
Whatever is not an answer raises `OddReply` with the reason, so that it costs one try for one picture and never a traceback.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from globe.console import one_line

MAX_REPLY_BYTES = 32 * 1024 * 1024
"""An answer of 1,024 tokens with their log-probabilities has about half a megabyte."""
MAX_QUOTED_CHARS = 120
ROUNDING = 1e-3
"""A log-probability may be this much above 0, from rounding; anything higher is not one."""
NOT_WHOLE = ("length", "content_filter")
"""Why an answer may end before the model has ended it; what is closed by then counts."""
BROKEN_OFF = ("abort", "error")
"""Why a server ended an answer that is not whole: somebody or something stopped it there."""
_OTHER_FIELDS = (b"event:", b"id:", b"retry:", b":")
"""Lines of a stream that say nothing here (the last are comments, which keep a connection open)."""


class OddReply(ValueError):
    """What came is not an answer; the text says what it is instead."""


class Token(NamedTuple):
    """One token of an answer."""

    text: str
    logprob: float
    """Natural logarithm of its probability; NaN if the server sent something else."""


@dataclass(frozen=True)
class Reply:
    """What a server answered, and what it took to get it."""

    text: str = ""
    cut_off: bool = False
    """Whether the limit on tokens ended it, or something else than the model itself."""
    confidence: float | None = None
    """As `answer_probability`."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    attempts: int = 1
    latency_s: float | None = None
    first_token_s: float | None = None
    error: str = ""
    """Why there is no answer; empty if there is one."""


class ReplyReader:
    """Reads a reply as its bytes come: `feed` it each piece, then `finish`.

    A server that was asked for a stream may send a whole completion all the same: what came shows in the lines themselves,
    whatever the headers say.
    """

    def __init__(self) -> None:
        self.begun = False
        """Whether any text of the answer has come."""
        self._size = 0
        self._rest = bytearray()
        self._event: list[bytes] = []
        self._plain: list[bytes] = []
        self._streamed = self._over = False
        self._finish = ""
        self._texts: list[str] = []
        self._tokens: list[Token] | None = []
        self._usage: Any = None

    def feed(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            OddReply: They are no part of an answer, or there are too many.
        """
        self._size += len(piece)
        if self._size > MAX_REPLY_BYTES:
            raise OddReply(f"the reply has more than {MAX_REPLY_BYTES // 2**20} MiB")
        self._rest += piece
        if b"\n" in piece:
            end = self._rest.rindex(b"\n") + 1
            lines = bytes(self._rest[:end]).splitlines()  # of bytes, so a U+2028 in an answer ends no line
            del self._rest[:end]
            self._read(lines)

    def finish(self) -> Reply:
        """The whole answer.

        Raises:
            OddReply: There is none, or it ended before it was complete.
        """
        try:
            self._read([*bytes(self._rest).splitlines(), b""])
        except OddReply:  # half of a stream's last piece
            if self._over or not self._rest:
                raise
        if not self._streamed:
            return read_completion(b"\n".join(self._plain))
        if not self._over and not self._finish:
            raise OddReply("the stream ended before the answer did")
        return _reply("".join(self._texts), self._finish or "length", self._tokens, self._usage)  # nobody said that it is whole

    @property
    def text(self) -> str:
        """What has come of a streamed answer so far."""
        return "".join(self._texts)

    def _read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if line.startswith(b"data:"):
                self._event.append(line[5:])
            elif not line:
                if self._event and not self._over:
                    self._take(b"\n".join(self._event).strip())
                self._event.clear()
            elif not line.startswith(_OTHER_FIELDS):
                self._plain.append(line)

    def _take(self, data: bytes) -> None:
        """One event of the stream."""
        self._streamed = True
        if data == b"[DONE]":
            self._over = True
            return
        self.take(_object(data, "a piece of the stream"))

    def take(self, content: Mapping[str, Any]) -> None:
        """Take a piece of a stream that somebody else has read as JSON; `finish` ends it as well.

        Raises:
            OddReply: It is no part of an answer.
        """
        self._streamed = True
        self._usage = content.get("usage") or self._usage
        choice = _first_choice(content)
        if choice is None:  # such as the last piece, which only counts tokens
            return
        self._finish = _finish_reason(choice) or self._finish
        delta = choice.get("delta")
        text = _text(delta.get("content")) if isinstance(delta, Mapping) else ""
        tokens = _tokens(choice)
        if (text and tokens is None) or self._tokens is None:
            self._tokens = None  # a probability of a part of the answer would be too high
        else:
            self._tokens += tokens or []
        if text:
            self.begun = True
            self._texts.append(text)


def read_completion(body: bytes) -> Reply:
    """Read a whole chat completion.

    Raises:
        OddReply: It is none.
    """
    content = _object(body, "the reply")
    return completed(content)


def completed(content: Mapping[str, Any]) -> Reply:
    """Read a whole chat completion that is no longer JSON text.

    Raises:
        OddReply: It is none.
    """
    choice = _first_choice(content)
    if choice is None:
        raise OddReply("the reply is not a chat completion: it has no choices")
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise OddReply("the reply is not a chat completion: it has no message")
    return _reply(_text(message.get("content")), _finish_reason(choice), _tokens(choice), content.get("usage"))


def answer_probability(tokens: Iterable[Token]) -> float | None:
    """Probability that a model gave its answer part, given its reasoning: the product over the tokens after `<answer>`.

    Args:
        tokens: All tokens of the answer.

    Returns:
        A probability in [0, 1]; None without an answer part, or if what came for one of its tokens cannot be one's logarithm.
    """
    tail, total = "", None
    for token in tokens:
        if total is not None:
            if not token.logprob <= ROUNDING:  # NaN is not, either
                return None
            total += min(0.0, token.logprob)
        else:
            tail = (tail + token.text)[-2 * len("<answer>") - len(token.text) :]
            total = 0.0 if "<answer>" in tail else None
    return None if total is None else math.exp(total)


def _reply(text: str, finish: str, tokens: list[Token] | None, usage: Any) -> Reply:
    if finish in BROKEN_OFF:
        raise OddReply(f"the server broke the answer off (finish_reason {finish})")
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # joins pairs that came in two pieces
    counts = usage if isinstance(usage, Mapping) else {}
    return Reply(
        text=whole,
        cut_off=finish in NOT_WHOLE,
        confidence=answer_probability(tokens) if tokens else None,
        prompt_tokens=_count(counts.get("prompt_tokens")),
        completion_tokens=_count(counts.get("completion_tokens")),
    )


def _object(data: bytes, what: str) -> Mapping[str, Any]:
    """A JSON object in which no error is told."""
    if not data.strip():
        raise OddReply(f"{what} is empty")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        kind = "a page of HTML" if b"<html" in data[:2000].lower() or b"<!doctype" in data[:2000].lower() else "not JSON"
        raise OddReply(f"{what} is {kind}: {_quoted(data)}") from None
    if not isinstance(content, Mapping):
        raise OddReply(f"{what} is not a chat completion: {_quoted(data)}")
    error = content.get("error") or (content if content.get("object") == "error" else None)
    if error:
        told = error.get("message") if isinstance(error, Mapping) else error
        raise OddReply(f"the server says: {_brief(str(told or error))}")
    return content


def _first_choice(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = content.get("choices")
    if not choices:
        return None
    if not isinstance(choices, list) or not isinstance(choices[0], Mapping):
        raise OddReply("the reply is not a chat completion: its choices are something else")
    return choices[0]


def _text(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise OddReply(f"the reply is not a chat completion: its content is a {type(content).__name__}")
    parts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
    if content and not parts:
        raise OddReply("the reply is not a chat completion: its content is a list without any text")
    return "".join(parts)


def _finish_reason(choice: Mapping[str, Any]) -> str:
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) else ""


def _tokens(choice: Mapping[str, Any]) -> list[Token] | None:
    """The tokens that a choice tells log-probabilities of; None if it tells none."""
    told = choice.get("logprobs")
    tokens = told.get("content") if isinstance(told, Mapping) else None
    if not isinstance(tokens, list) or not all(isinstance(token, Mapping) for token in tokens):
        return None
    return [Token(str(token.get("token") or ""), _number(token.get("logprob"))) for token in tokens]


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _quoted(data: bytes) -> str:
    return repr(_brief(data[:1000].decode("utf-8", "replace")))


def _brief(text: str) -> str:
    line = one_line(text[:1000])
    return line if len(line) <= MAX_QUOTED_CHARS else f"{line[:MAX_QUOTED_CHARS]}..."
