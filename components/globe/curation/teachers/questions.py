"""What teachers are asked: one question each about a picture, or about what has been replied about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pydantic_core import from_json

from globe.curation.teachers.replies import (
    AlignmentReply,
    Classes,
    CoordinateReply,
    MalformedReply,
    NoReply,
    Record,
    ReplyLog,
    SegmentationReply,
    VlmReply,
    parse_vlm,
    parse_witness,
    question_key,
)
from globe.curation.teachers.teacher import Teacher
from globe.printable import one_line

MAX_TOKENS = 1024
MAX_NAME_CHARS = 200

PROMPT = """Where was this picture taken? Answer with one JSON object and nothing else:
{"localizable": true if the picture shows enough to tell the city, else false,
 "score": how sure you are that it does, from 0 to 1,
 "country": country name in English or "",
 "city": city name in English or "",
 "reasoning": two to four sentences that name the visual cues, only such as can be seen, and say what each tells about the place,
 "elements": list of everything visible that helps, each as a short noun phrase}"""

_NOT_GRAMMAR = {"title", "description", "default", "maxLength", "maxItems"}
"""Of a JSON schema: what explains, and limits that make a grammar large; replies are held to them when they are read."""
_BROKEN_OFF = ("abort", "error")
"""Reasons of vLLM why an answer ended that are the server's own, not the model's."""


@dataclass(frozen=True)
class Question:
    """One thing to ask a teacher.

    Attributes:
        row_id: The picture that it is about; empty for one about none.
        key: Digest of all that decides the reply.
        path: Where it is asked, below the teacher's base URL.
        body: What is sent as JSON; None for a GET.
        optional: More to send to servers that take it; it makes no other question.
        read: Turns a response's body into fields of a record. Raises NoReply or MalformedReply.
    """

    row_id: str
    key: str
    path: str
    body: Mapping[str, Any] | None
    read: Callable[[bytes], dict[str, Any]]
    optional: Mapping[str, Any]


def picture_key(teacher: Teacher, image_sha256: bytes) -> str:
    """Digest of the question about one picture."""
    return question_key(teacher.identity, PROMPT if teacher.kind == "vlm" else "", image_sha256)


def about_picture(teacher: Teacher, row_id: str, image_sha256: bytes, image_url: str) -> Question:
    """Ask a teacher that looks at pictures.

    Args:
        teacher: Whom.
        row_id: The picture's id.
        image_sha256: The picture's digest.
        image_url: The picture as a `data:` URL.
    """
    key = picture_key(teacher, image_sha256)
    body: dict[str, Any]
    if teacher.kind != "vlm":
        model = CoordinateReply if teacher.kind == "coordinates" else SegmentationReply
        body = {"model": teacher.model, "image": image_url}
        return Question(row_id, key, f"/{teacher.kind}", body, lambda told: {teacher.kind: parse_witness(model, told)}, {})
    content = [{"type": "image_url", "image_url": {"url": image_url}}, {"type": "text", "text": PROMPT}]
    body = {
        "model": teacher.model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }
    return Question(row_id, key, "/chat/completions", body, _read_completion, {"response_format": RESPONSE_FORMAT})


def classes_key(teacher: Teacher) -> str:
    """Digest of the question which classes a segmentation model can tell apart."""
    return question_key(teacher.identity, "classes")


def about_classes(teacher: Teacher) -> Question:
    """Ask a segmentation model what it can tell apart; once, for it is the same for all pictures."""

    def read(told: bytes) -> dict[str, Any]:
        return {"segmentation": SegmentationReply(shares={}, known=parse_witness(Classes, told).classes)}

    return Question("", classes_key(teacher), "/segmentation/classes", None, read, {})


@dataclass(frozen=True)
class Pair:
    """Two reasonings about one picture, by two VLMs in alphabetical order."""

    between: tuple[str, str]
    texts: tuple[str, str]

    def key(self, teacher: Teacher) -> str:
        """Digest of the question how much they say the same; the picture and who said them are no part of it."""
        return question_key(teacher.identity, *self.texts)


def pairs_of(records: Iterable[Record]) -> Iterator[Pair]:
    """The reasonings that can be compared: those of VLMs that take the picture to be localizable and say why."""
    replies = {record.teacher: record.vlm for record in records if record.vlm is not None}
    spoken = sorted(name for name, reply in replies.items() if reply.localizable and reply.reasoning)
    for first, second in combinations(spoken, 2):
        yield Pair((first, second), (replies[first].reasoning, replies[second].reasoning))


def about_pair(teacher: Teacher, row_id: str, pair: Pair) -> Question:
    """Ask an alignment model how much two reasonings say the same."""
    body = {"model": teacher.model, "texts": list(pair.texts)}

    def read(told: bytes) -> dict[str, Any]:
        return {"alignment": parse_witness(AlignmentReply, told, between=pair.between)}

    return Question(row_id, pair.key(teacher), "/alignment", body, read, {})


class Answers:
    """What a log holds about each picture, as its evidence is made from.

    A segmentation model's record says all classes that it knows as well, and an alignment model's for whom it speaks: the same
    two texts are asked about once, whoever said them.

    Args:
        teachers: Who was asked, each model once.
        log: Where the replies are.
    """

    def __init__(self, teachers: Collection[Teacher], log: ReplyLog) -> None:
        self._log = log
        self._lookers = [teacher for teacher in teachers if teacher.looks]
        self._aligners = [teacher for teacher in teachers if not teacher.looks]
        self._known = {teacher.model: self._classes(teacher) for teacher in self._lookers if teacher.kind == "segmentation"}

    def about(self, image_sha256: bytes) -> list[Record]:
        """The latest record of each question about a picture that has one."""
        found = [self._complete(record) for record in self._log.records(picture_key(t, image_sha256) for t in self._lookers)]
        for pair in pairs_of(found) if self._aligners else ():
            for record in self._log.records(pair.key(teacher) for teacher in self._aligners):
                if record.alignment is not None:
                    said = record.alignment.model_copy(update={"between": pair.between})
                    record = record.model_copy(update={"alignment": said})
                found.append(record)
        return found

    def _complete(self, record: Record) -> Record:
        if record.segmentation is None:
            return record
        seen = record.segmentation.model_copy(update={"known": self._known[record.teacher]})
        return record.model_copy(update={"segmentation": seen})

    def _classes(self, teacher: Teacher) -> list[str]:
        record = self._log.get(classes_key(teacher))
        return record.segmentation.known if record is not None and record.segmentation is not None else []


def _read_completion(body: bytes) -> dict[str, Any]:
    """Read a chat completion: the message's content, and which model it says it is from."""
    try:
        completion = from_json(body)
        choice, served = completion["choices"][0], completion.get("model")
        content, ended = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise NoReply("not a chat completion") from None
    if not isinstance(content, str | None):
        raise NoReply("message content is not text")
    try:
        return {"vlm": parse_vlm(content), "served": one_line(served, MAX_NAME_CHARS) if isinstance(served, str) else ""}
    except MalformedReply as error:
        if ended in _BROKEN_OFF:
            raise NoReply(f"the server broke the answer off ({ended})") from None
        if ended == "length":
            raise MalformedReply(f"cut off after {MAX_TOKENS} tokens") from error
        raise


def _grammar(schema: Any) -> Any:
    """The part of a JSON schema that says which texts a model may write."""
    if isinstance(schema, list):
        return [_grammar(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _grammar(part) for name, part in schema.items() if name not in _NOT_GRAMMAR}
    # All fields are to be written, and no others, which OpenAI's own servers insist on.
    return kept | ({"required": [*schema["properties"]], "additionalProperties": False} if "properties" in schema else {})


RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "annotation", "schema": _grammar(VlmReply.model_json_schema())},
}
"""Holds a server that can do so to JSON of the right form (OpenAI's structured outputs; vLLM 0.8 and later)."""
