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
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import from_json

from globe.errors import GlobeError, InputError

MAX_CONTENT_CHARS = 64 * 1024
MAX_REASONING_CHARS = 4000
MAX_ELEMENTS = 128
MAX_CLASSES = 4096

# Tags of the answer grammar and of chat templates: harmless to read, not harmless to train on.
_FORBIDDEN = re.compile(r"</?(think|answer|image|img|video|audio|tool_call|bbox|ref)\b|<\||\|>", re.IGNORECASE)
_THINK = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_SPACE = re.compile(r"\s+")

REPLIES_NAME = "replies.jsonl"
LEAST_FREE_BYTES = 64 * 1024 * 1024
"""Room for what a thousand calls in flight may bring."""
_LENGTH_BITS = 24


class MalformedReply(ValueError):
    """A teacher answered something that is not the agreed reply."""


class NoReply(ValueError):
    """What came is no teacher's answer: a proxy's page, half a body. The teacher itself may do well, so it is asked again."""


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


ClassName = Annotated[str, AfterValidator(_clean), Field(max_length=120)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class SegmentationReply(BaseModel):
    """What a semantic segmentation model sees in one picture: each of its classes that covers some of it."""

    model_config = ConfigDict(frozen=True)

    shares: dict[ClassName, Share] = Field(max_length=MAX_CLASSES)
    """By class, as the model names it, the share of the picture's pixels; classes that it does not see are left out."""
    known: list[ClassName] = Field(default_factory=list, max_length=MAX_CLASSES)
    """All classes that the model can tell, seen or not; empty where another record of the same teacher says it."""


class Classes(BaseModel):
    """What a semantic segmentation model can tell apart."""

    classes: list[ClassName] = Field(min_length=1, max_length=MAX_CLASSES)


class AlignmentReply(BaseModel):
    """How much two reasonings about one picture say the same."""

    model_config = ConfigDict(frozen=True)

    between: tuple[str, str]
    """The two VLM teachers, in alphabetical order."""
    score: float = Field(ge=-1, le=1, allow_inf_nan=False)
    """Cosine of the texts' embeddings."""


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
    return _validate(VlmReply.model_validate_json, text[start : end + 1])


def parse_witness(model: type[Reply], body: bytes, **known: Any) -> Reply:
    """Parse the body of a witness's response.

    Args:
        model: What it must hold.
        body: A JSON object.
        known: Fields that the question decides.

    Raises:
        NoReply: Not a JSON object with the fields that are agreed on.
        MalformedReply: A field's value is of the wrong type or out of range.
    """
    try:
        told = from_json(body)
    except ValueError:
        raise NoReply("no JSON") from None
    if not isinstance(told, dict):
        raise NoReply("no JSON object")
    needed = [name for name, field in model.model_fields.items() if field.is_required() and name not in known]
    if lost := [name for name in needed if name not in told]:
        raise NoReply(f"no {lost[0]} in what should be a reply")
    return _validate(model.model_validate, told | known)


def _validate(read: Callable[[Any], Reply], given: Any) -> Reply:
    try:
        return read(given)
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
    replica: str = ""
    """Which of a teacher's servers replied, where there are several."""
    served: str = ""
    """The model that the reply names, if that is another name than the teacher's."""
    vlm: VlmReply | None = None
    coordinates: CoordinateReply | None = None
    segmentation: SegmentationReply | None = None
    alignment: AlignmentReply | None = None


class ReplyLog:
    """The append-only file of replies, which makes a curation resumable.

    Each line is handed to the operating system whole before anybody goes on, so a killed process loses no reply that it has
    received; a line that a kill left unfinished is cut off when the file is opened again. Lines are forced to the disk only when
    the file is closed: a machine that loses power may lose those of the last seconds, and damage some, which are asked for again.
    A key may have several lines: the last one counts. In memory is where each key's line lies, about 150 bytes a key.

    Args:
        path: The file; created if it does not exist. Use as a context manager, which keeps the file locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.served: dict[str, set[str]] = {}
        """By teacher, the other names of models that its replies say they are from."""
        self._places: dict[bytes, int] = {}
        """By key: offset, length and whether it is finished, in one number, which takes a third of a tuple's memory."""
        self._look_again_s = 0.0

    def __enter__(self) -> ReplyLog:
        self._file = self.path.open("a+b", buffering=0)
        try:
            self._lock()
            self._index()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # some file systems cannot; the lines are with the operating system in any case
            os.fsync(self._file.fileno())
        self._file.close()

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{self.path}: another curation is writing here; wait for it or choose another folder") from None

    def _index(self) -> None:
        """Find each record, skipping damaged lines, and cut off a last line that a kill left unfinished."""
        offset = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                with contextlib.suppress(ValueError):  # a damaged line, which pydantic reports as one
                    self._note(Record.model_validate_json(line), offset, len(line))
                offset += len(line)
        os.ftruncate(self._file.fileno(), offset)
        self._end = offset

    def _note(self, record: Record, offset: int, length: int) -> None:
        # A call that failed is repeated in the next run; a question that was answered, even badly, is not.
        finished = record.status in ("ok", "malformed")
        if record.served:
            self.served.setdefault(record.teacher, set()).add(record.served)
        self._places[bytes.fromhex(record.key)] = offset << _LENGTH_BITS + 1 | length << 1 | finished

    def check_room(self) -> None:
        """Refuse to go on while there is still room for the replies that are under way; looks once a second at most.

        Raises:
            GlobeError: The disk is almost full.
        """
        if time.monotonic() < self._look_again_s:
            return
        self._look_again_s = time.monotonic() + 1.0
        disk = os.statvfs(self._file.fileno())
        if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES:
            raise GlobeError(
                f"{self.path}: less than {LEAST_FREE_BYTES // 2**20} MiB are left on its disk; free some, then run again to go "
                "on: replies so far are kept"
            )

    def append(self, record: Record) -> None:
        """Write one record to the file, as one line.

        Raises:
            GlobeError: It cannot be written; the records before it are whole.
        """
        line = record.model_dump_json(exclude_defaults=True).encode() + b"\n"
        if len(line) >= 1 << _LENGTH_BITS:
            raise ValueError(f"a record of {len(line)} bytes")
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._end)
            raise GlobeError(
                f"{self.path}: cannot be written ({error.strerror or error}); mend that, then run again to go on: replies so far "
                "are kept"
            ) from error
        self._note(record, self._end, len(line))
        self._end += len(line)

    @property
    def unanswered(self) -> int:
        """How many questions were asked and have no answer."""
        return sum(not place & 1 for place in self._places.values())

    def is_finished(self, key: str) -> bool:
        """Tell whether this question has been answered and need not be asked."""
        return bool(self._places.get(bytes.fromhex(key), 0) & 1)

    def was_asked(self, key: str) -> bool:
        """Tell whether this question has been asked, even in vain."""
        return bytes.fromhex(key) in self._places

    def get(self, key: str) -> Record | None:
        """Return the latest record of a question; None if it was never asked or its line is damaged."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        length, offset = place >> 1 & (1 << _LENGTH_BITS) - 1, place >> _LENGTH_BITS + 1
        try:
            return Record.model_validate_json(os.pread(self._file.fileno(), length, offset))
        except ValidationError:
            return None

    def records(self, keys: Iterable[str]) -> Iterator[Record]:
        """Yield the latest record of each question that has one."""
        for key in keys:
            record = self.get(key)
            if record is not None:
                yield record


def question_key(teacher: str, *about: str | bytes) -> str:
    """Digest of a question, so that the same one is never asked twice; a changed prompt, picture or text makes a new one."""
    digest = hashlib.sha256()
    for part in (one.encode() if isinstance(one, str) else one for one in (teacher, *about)):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]
