"""What teachers reply: how it is parsed, and the file that remembers it.

A reply is untrusted text: the model, or anything else that answers at its URL, may send whatever it likes. So replies are
limited in size, parsed only by pydantic, and refused if they hold anything that means something to a later stage (tags,
special tokens).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from globe.errors import InputError

MAX_CONTENT_CHARS = 64 * 1024
MAX_REASONING_CHARS = 4000
MAX_ELEMENTS = 128

# Tags of the answer grammar and of chat templates: harmless to read, not harmless to train on.
_FORBIDDEN = re.compile(r"</?(think|answer|image|img|video|audio|tool_call|bbox|ref)\b|<\||\|>", re.IGNORECASE)
_THINK = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_SPACE = re.compile(r"\s+")

REPLIES_NAME = "replies.jsonl"


class MalformedReply(ValueError):
    """A teacher answered something that is not the agreed reply."""


def _text_or_nothing(value: Any) -> Any:
    return "" if value is None else value


def _clean(value: str) -> str:
    """Fold white space, and refuse what has no place in a reply."""
    text = _SPACE.sub(" ", value).strip()
    if not text.isprintable():
        raise ValueError("holds control characters")
    if _FORBIDDEN.search(text):
        raise ValueError("holds tags or special tokens")
    return text


Reply = TypeVar("Reply", bound=BaseModel)
Name = Annotated[str, BeforeValidator(_text_or_nothing), Field(max_length=120)]


class VlmReply(BaseModel):
    """One annotation: what a vision-language model says about one picture."""

    model_config = ConfigDict(frozen=True)

    localizable: bool
    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    country: Name = ""
    city: Name = ""
    reasoning: str = Field(max_length=MAX_REASONING_CHARS)
    elements: list[Annotated[str, Field(max_length=120)]] = Field(default_factory=list, max_length=MAX_ELEMENTS)

    @field_validator("country", "city", "reasoning")
    @classmethod
    def _plain_text(cls, value: str) -> str:
        return _clean(value)

    @field_validator("elements")
    @classmethod
    def _plain_elements(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(cleaned for element in value if (cleaned := _clean(element))))


class CoordinateReply(BaseModel):
    """What a coordinate model says about one picture."""

    model_config = ConfigDict(frozen=True)

    lat_deg: float = Field(ge=-90, le=90, allow_inf_nan=False)
    lon_deg: float = Field(ge=-180, le=180, allow_inf_nan=False)
    confidence: float = Field(ge=0, le=1, allow_inf_nan=False)


def parse_vlm(content: str | None) -> VlmReply:
    """Parse the message content of a VLM teacher.

    Takes a JSON object, also inside a code fence, after a thinking block, or with a sentence around it, which is what
    models write however often they are told not to.

    Raises:
        MalformedReply: Nothing of that kind, too long, or a field of the wrong type or range.
    """
    if not content:
        raise MalformedReply("empty")
    if len(content) > MAX_CONTENT_CHARS:
        raise MalformedReply(f"{len(content)} characters, over {MAX_CONTENT_CHARS}")
    text = _THINK.sub("", content)
    fenced = _FENCE.search(text)
    text = fenced.group(1) if fenced else text
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise MalformedReply("no JSON object")
    return _validate(VlmReply, text[start : end + 1])


def parse_coordinates(body: str | bytes) -> CoordinateReply:
    """Parse the body of a coordinate model's response.

    Raises:
        MalformedReply: Not the agreed JSON object, or a value out of range.
    """
    if len(body) > MAX_CONTENT_CHARS:
        raise MalformedReply(f"{len(body)} bytes, over {MAX_CONTENT_CHARS}")
    return _validate(CoordinateReply, body)


def _validate(model: type[Reply], text: str | bytes) -> Reply:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise MalformedReply(f"{where}: {first['msg'][:100]}") from None
    except (ValueError, RecursionError) as error:
        # A lone surrogate in the text, for one, fails before validation.
        raise MalformedReply(f"JSON: {type(error).__name__}") from None


Status = Literal["ok", "malformed", "timeout", "failed"]


class Record(BaseModel):
    """One line of replies.jsonl: the outcome of asking one teacher about one picture."""

    model_config = ConfigDict(frozen=True)

    id: str
    teacher: str
    key: str
    """Digest of everything that decides the reply: teacher, prompt, picture."""
    status: Status
    attempts: int
    malformed: int = 0
    """How many of the attempts returned a malformed reply."""
    timeouts: int = 0
    detail: str = ""
    vlm: VlmReply | None = None
    coordinates: CoordinateReply | None = None


class ReplyLog:
    """The append-only file of replies, which makes a curation resumable.

    Only the offset of each record is kept in memory. Each line is written whole and flushed at once, so a killed process
    loses no finished reply; an incomplete last line is cut off when the file is opened again. A key may have several
    lines: the last one counts.

    Args:
        path: The file; created if it does not exist. Use as a context manager, which keeps the file locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[bytes, tuple[int, int]] = {}
        self._finished: set[bytes] = set()

    def __enter__(self) -> ReplyLog:
        self._file = self.path.open("a+b")
        try:
            self._lock()
            self._index()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{self.path}: another curation is writing here; wait for it or choose another folder") from None

    def _index(self) -> None:
        """Find each record, skipping damaged lines, and cut off a last line that a kill left unfinished."""
        self._file.seek(0)
        offset = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            with contextlib.suppress(ValueError):  # a damaged line, which pydantic reports as one
                record = Record.model_validate_json(line)
                self._note(bytes.fromhex(record.key), record.status, offset, len(line))
            offset += len(line)
        os.ftruncate(self._file.fileno(), offset)
        self._end = offset

    def _note(self, key: bytes, status: str, offset: int, length: int) -> None:
        self._places[key] = (offset, length)
        # A call that failed is repeated in the next run; a question that was answered, even badly, is not.
        (self._finished.add if status in ("ok", "malformed") else self._finished.discard)(key)

    def append(self, record: Record) -> None:
        """Write one record to the file, as one line."""
        line = record.model_dump_json(exclude_defaults=True).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self._note(bytes.fromhex(record.key), record.status, self._end, len(line))
        self._end += len(line)

    def adopt(self, path: Path) -> None:
        """Copy the answers from another log, such as an annotator's; questions already answered here keep their answer."""
        with path.open("rb") as lines:
            for line in lines:
                try:
                    record = Record.model_validate_json(line)
                except ValueError:  # cut off by a kill: asked again
                    continue
                if not self.is_finished(record.key):
                    self.append(record)

    def is_finished(self, key: str) -> bool:
        """Tell whether this question has been answered and need not be asked."""
        return bytes.fromhex(key) in self._finished

    def get(self, key: str) -> Record | None:
        """Return the latest record of a question; None if it was never asked or its line is damaged."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        line = os.pread(self._file.fileno(), place[1], place[0])
        try:
            return Record.model_validate_json(line)
        except ValidationError:
            return None

    def records(self, keys: Iterator[str]) -> Iterator[Record]:
        """Yield the latest record of each question that has one."""
        for key in keys:
            record = self.get(key)
            if record is not None:
                yield record


def question_key(teacher: str, prompt: str, image_sha256: bytes) -> str:
    """Digest of a question, so that the same one is never asked twice; a changed prompt or picture makes a new one."""
    digest = hashlib.sha256()
    for part in (teacher.encode(), prompt.encode(), image_sha256):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]
