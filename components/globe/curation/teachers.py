"""Teachers: the models that annotate pictures, asked over HTTP.

There are two kinds. A VLM teacher speaks the OpenAI chat API and answers with a JSON object (`replies.VlmReply`); a coordinate
model (in the paper GeoCLIP) takes POST {URL}/coordinates and answers with a position (`replies.CoordinateReply`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import stamina
from pydantic_core import from_json

from globe.curation.recipe import API_KEY_VARIABLE
from globe.curation.replies import (
    CoordinateReply,
    MalformedReply,
    Record,
    VlmReply,
    parse_coordinates,
    parse_vlm,
    question_key,
)
from globe.data.images import data_url
from globe.errors import InputError
from globe.keys import TEACHER_KEY, THIS_MACHINE, key_for

MAX_BODY_BYTES = 512 * 1024
MAX_TOKENS = 1024

PROMPT = """Where was this picture taken? Answer with one JSON object and nothing else:
{"localizable": true if the picture shows enough to tell the city, else false,
 "score": how sure you are that it does, from 0 to 1,
 "country": country name in English or "",
 "city": city name in English or "",
 "reasoning": one or two sentences that name only what is visible and say what it tells about the place,
 "elements": list of everything visible that helps, each as a short noun phrase}"""


@dataclass(frozen=True)
class Teacher:
    """A model and where it answers.

    Attributes:
        kind: "vlm" or "coordinates".
        model: Name the server knows it by; also the teacher's name in every output.
        url: Base URL that ends in /v1.
    """

    kind: Literal["vlm", "coordinates"]
    model: str
    url: str

    @classmethod
    def parse(cls, spec: str) -> Teacher:
        """Read "MODEL@URL" or "coordinates:MODEL@URL".

        Raises:
            InputError: Not of that form; says what is wrong.
        """
        text = spec.strip()
        kind: Literal["vlm", "coordinates"] = "coordinates" if text.startswith("coordinates:") else "vlm"
        # Model names may hold a colon or a slash, URLs may hold an @ before their host: the URL starts at "@http".
        model, separator, url = text.removeprefix("coordinates:").rpartition("@http")
        url = ("http" + url).rstrip("/") if separator else ""
        if not model or not separator:
            raise InputError(f"teacher {spec!r}: write it as MODEL@URL, for example my-vlm@http://localhost:8000/v1")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise InputError(f"teacher {spec!r}: {url!r} is no http(s) URL")
        if not parts.path.endswith("/v1"):
            raise InputError(f"teacher {spec!r}: the URL must end in /v1, for example {url}/v1")
        if parts.username or parts.password or parts.query:
            raise InputError(f"teacher {spec!r}: keep keys out of the URL; set {API_KEY_VARIABLE} instead")
        return cls(kind, model, url)

    @property
    def spec(self) -> str:
        """The text that `parse` reads."""
        return f"{'coordinates:' if self.kind == 'coordinates' else ''}{self.model}@{self.url}"

    @property
    def prompt(self) -> str:
        """The text that is sent along with the picture."""
        return PROMPT if self.kind == "vlm" else ""

    def key(self, image_sha256: bytes) -> str:
        """Digest of the question about one picture; the URL is not part of it, because servers move."""
        return question_key(f"{self.kind}:{self.model}", self.prompt, image_sha256)


def check_teachers(teachers: list[Teacher], min_entity_support: float = 1.0) -> None:
    """Refuse sets of teachers that can't verify anything.

    Args:
        teachers: The set.
        min_entity_support: From the recipe; above 0, a second VLM must confirm what the first one names.

    Raises:
        InputError: No VLM at all, only one teacher, one VLM where two are needed, or a model named twice.
    """
    names = [teacher.model for teacher in teachers]
    vlms = [teacher.model for teacher in teachers if teacher.kind == "vlm"]
    if not vlms:
        raise InputError("curation needs a VLM teacher; name one as MODEL@URL")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"teacher {name} is named twice; a model cannot confirm its own answers")
    if len(teachers) < 2:
        raise InputError(f"one teacher ({names[0]}) can't be verified against another; name at least a second VLM")
    if len(vlms) < 2 and min_entity_support > 0:
        raise InputError(
            f"with one VLM ({vlms[0]}) nothing confirms the visual elements it names; name a second VLM, "
            "or set min_entity_support=0 to skip that check"
        )


@dataclass
class Tally:
    """How the calls to one teacher went in this run, counted in pictures except for `retries`."""

    asked: int = 0
    ok: int = 0
    failures: int = 0
    retries: int = 0
    remembered: int = 0
    """Pictures that were answered in an earlier run, so they were not asked about again."""
    last_failure: str = ""


class _Refused(Exception):
    """The server answered with a status other than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


@dataclass
class TeacherClient:
    """Asks one teacher with bounded concurrency, a time limit for each call, and retries.

    Use as an async context manager.

    Attributes:
        teacher: Whom to ask.
        concurrency: Most calls in flight at once.
        timeout_s: Time that one call may take, from sending to the last byte.
        retries: How often a failed call is repeated.
        tally: How it went so far.
    """

    teacher: Teacher
    concurrency: int
    timeout_s: float
    retries: int
    tally: Tally = field(default_factory=Tally)

    async def __aenter__(self) -> TeacherClient:
        local = urlsplit(self.teacher.url).hostname in THIS_MACHINE
        self._slots = asyncio.Semaphore(self.concurrency)
        key = key_for(self.teacher.url, TEACHER_KEY) or "none"
        # Plain HTTP instead of the OpenAI client: a reply's size must be limited while it is read, only `replies` may parse
        # it, and that client takes more time than the rest of curation put together.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.concurrency),
            timeout=aiohttp.ClientTimeout(total=None),  # `ask` limits each call as a whole
            headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"},
            trust_env=not local,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def ask(self, row_id: str, key: str, image: bytes) -> Record:
        """Ask about one picture; never raises, whatever the teacher does.

        Args:
            row_id: The picture's id, for the record.
            key: Digest of the question (`Teacher.key`).
            image: PNG, JPEG or WEBP bytes without metadata.

        Returns:
            The outcome: a parsed reply, or why all attempts failed.
        """
        counts = {"malformed": 0, "timeouts": 0}
        attempts = 0
        fields: dict[str, Any] = {}
        url = data_url(image)
        async with self._slots:
            self.tally.asked += 1
            try:
                async for attempt in stamina.retry_context(
                    on=_is_transient,
                    attempts=self.retries + 1,
                    timeout=None,
                    wait_initial=0.1,
                    wait_jitter=0.1,
                    wait_max=10.0,
                ):
                    with attempt:
                        attempts += 1
                        try:
                            async with asyncio.timeout(self.timeout_s):
                                reply = await self._call(url)
                        except BaseException as error:
                            counts["malformed"] += isinstance(error, MalformedReply)
                            counts["timeouts"] += isinstance(error, TimeoutError)
                            raise
                fields = {"status": "ok", "vlm" if isinstance(reply, VlmReply) else "coordinates": reply}
                self.tally.ok += 1
            except Exception as error:
                fields = _describe(error)
                self.tally.failures += 1
                self.tally.last_failure = fields["detail"]
        self.tally.retries += attempts - 1
        return Record(id=row_id, teacher=self.teacher.model, key=key, attempts=attempts, **counts, **fields)

    async def _call(self, image_url: str) -> VlmReply | CoordinateReply:
        if self.teacher.kind == "coordinates":
            body: dict[str, Any] = {"model": self.teacher.model, "image": image_url}
            return parse_coordinates(await self._post("/coordinates", body))
        content = [
            {"type": "image_url", "image_url": {"url": image_url}},
            {"type": "text", "text": self.teacher.prompt},
        ]
        body = {
            "model": self.teacher.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
        }
        return parse_vlm(_message(await self._post("/chat/completions", body)))

    async def _post(self, path: str, body: dict[str, Any]) -> bytes:
        """Return the response's body, at most `MAX_BODY_BYTES`; a compressed one is refused, as it could unpack to any size."""
        # A redirect would send pictures to a host that the user did not name.
        async with self._session.post(self.teacher.url + path, json=body, allow_redirects=False) as response:
            if response.status != 200:
                raise _Refused(response.status)
            packing = response.headers.get("Content-Encoding", "identity")
            if packing.lower() != "identity":
                raise MalformedReply(f"a response compressed with {packing[:20]!r}, which was not asked for")
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > MAX_BODY_BYTES:
                    raise MalformedReply(f"a response of over {MAX_BODY_BYTES} bytes")
            return bytes(content)


def _message(body: bytes) -> str | None:
    """Take the message content out of a chat completion; the rest of it is ignored."""
    try:
        content = from_json(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise MalformedReply("not a chat completion") from None
    if not isinstance(content, str | None):
        raise MalformedReply("message content is not text")
    return content


def _is_transient(error: Exception) -> bool:
    """Tell whether asking again may help."""
    if isinstance(error, _Refused):
        return error.status >= 500 or error.status in (408, 409, 425, 429)
    return isinstance(error, MalformedReply | aiohttp.ClientError | OSError)  # a TimeoutError is an OSError


def _describe(error: Exception) -> dict[str, Any]:
    """Status and one line about a failure."""
    if isinstance(error, MalformedReply):
        return {"status": "malformed", "detail": str(error)[:200]}
    if isinstance(error, TimeoutError):
        return {"status": "timeout", "detail": "no reply in time"}
    text = " ".join(str(error).split()) or type(error).__name__
    return {"status": "failed", "detail": text[:200]}
