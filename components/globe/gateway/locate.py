"""POST /locate: a photo in, the place out, with reasons, how sure the model is, and what else it might be."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, NamedTuple

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from globe.answer.parse import parse
from globe.asking.answers import Location, located
from globe.asking.reply import OddReply, Reply, ReplyReader, completed
from globe.console import one_line, to_json
from globe.gateway.limits import Taken
from globe.gateway.precision import coarsest, told_answer
from globe.gateway.question import Question
from globe.gateway.refused import Refused
from globe.gateway.settings import Precision
from globe.gateway.sse import EventStream, unless_gone
from globe.gateway.state import Gateway
from globe.gateway.upload import FIELD, FORM, PICTURES, uploaded
from globe.served import says

PATH = "/locate"
PARAMETERS, MAX_NAME_CHARS = ("n", "max_precision", "stream"), 60
QUIET_S = 10.0
"""After so long without an event, a comment keeps a stream's connection open."""
ODD_S = 5.0
_HALF_TAG = re.compile(r"\s*<[^<>]{0,20}\Z")


_Event = tuple[str, dict[str, Any]]
"""Name and data of a server-sent event."""


class Alternative(BaseModel):
    """Another place among several answers."""

    country: str
    city: str
    region: str
    lat_deg: float | None
    lon_deg: float | None
    share: float
    """Of the answers that were asked for, in [0, 1]."""


class Model(BaseModel):
    """The model that has answered."""

    name: str
    digest: str
    """Of its checkpoint, as it says itself; empty if it has no manifest."""


class LocateAnswer(BaseModel):
    """Where a photo was taken, as the model thinks."""

    status: Literal["ok", "not_geocoded", "not_parsed", "no_answer", "cut_off"]
    """Only "ok" has a position: "not_geocoded" names a place that the gazetteer does not know."""
    country: str
    city: str
    region: str
    level: Literal["city", "region", "country", ""]
    """What the position is that of: a country's centre, if the city is not in the gazetteer or may not be told."""
    lat_deg: float | None
    lon_deg: float | None
    reasoning: str
    reasoning_shortened: bool
    """Whether sentences are left out, because they may tell more than `precision`, or because there are too many."""
    confidence: float | None
    """In [0, 1]: the share of the answers that agree, of several; the probability of the answer's text, of one."""
    radius_km: float | None
    radius_level_percent: float | None
    """The photo was taken within `radius_km` in so many percent of such cases; null without a calibrated radius."""
    alternatives: list[Alternative]
    n: int
    answered: int
    """Of the n answers that were asked for, how many came, and from one model: while it is replaced, a few may be another's."""
    temperature: float
    """At which they were drawn."""
    model: Model
    precision: Precision


BODY = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURES}
        | {
            FORM: {
                "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: {"type": "string", "format": "binary"}}}
            }
        },
    }
}


def _require_known(request: Request) -> None:
    """Refuse a parameter that there is not: whoever misspells max_precision would be told more than they asked for.

    Raises:
        Refused: 400.
    """
    if unknown := sorted(set(request.query_params) - set(PARAMETERS)):
        name = one_line(unknown[0])[:MAX_NAME_CHARS]
        raise Refused(400, f"{name}: there is no such parameter; there are {', '.join(PARAMETERS)}", "unknown_field", param=name)


def router(gateway: Gateway) -> APIRouter:
    """The route.

    Raises:
        InputError: The checkpoint's manifest cannot be read.
    """
    question = Question(gateway.settings)
    gateway.status.digest = question.digest  # until the engine says its own; one that was started by hand knows none
    routes = APIRouter()
    events: dict[str, Any] = {"text/event-stream": {}}

    @routes.post(
        PATH,
        summary="Where was this photo taken?",
        tags=["model"],
        response_model=LocateAnswer,
        responses={200: {"content": events, "description": "The place; streamed, events reasoning, progress and answer."}},
        openapi_extra=BODY,
    )
    async def locate(
        request: Request,
        n: int = Query(1, ge=1, le=gateway.settings.max_samples, description="Answers to ask for; how many agree is told."),
        max_precision: Precision | None = Query(None, description="Tell nothing finer than this."),
        stream: bool = Query(False, description="Server-sent events, as with Accept: text/event-stream."),
    ) -> Response:
        """Say where a photo was taken, and why."""
        client = gateway.keys.client(request.headers.get("authorization"))
        _require_known(request)
        photo, room = await uploaded(request), gateway.status.max_model_len
        tokens = n * question.recipe(n, room).max_tokens
        taken = gateway.limits.take(client, pixels=gateway.pictures.pixels(photo), tokens=tokens)
        with taken.unless_refused():
            picture = await gateway.pictures.prepare(photo)
        asked = question.requests(picture.url, n, room)
        precision = coarsest(gateway.settings.max_precision, max_precision)
        work = _Work(gateway, question, asked, precision, request.headers.get("authorization"), taken)
        if stream or "text/event-stream" in request.headers.get("accept", ""):
            events = await unless_gone(request, work.started_events())
            return EventStream(events, says(work.first_digest))
        document = await unless_gone(request, work.answer())
        return Response(to_json(document), media_type="application/json", headers=says(document["model"]["digest"]))

    return routes


class _Sample(NamedTuple):
    """One answer, and the digest of the checkpoint that gave it."""

    location: Location
    digest: str


class _Work:
    """The answers to one request."""

    def __init__(
        self,
        gateway: Gateway,
        question: Question,
        asked: list[dict[str, Any]],
        precision: Precision,
        authorization: str | None,
        taken: Taken,
    ) -> None:
        self._gateway, self._question, self._asked = gateway, question, asked
        self._precision, self._authorization, self._taken = precision, authorization, taken
        self._answered = 0
        self.first_digest = ""
        """Of the checkpoint that was the first to answer; empty before that."""
        self._events: asyncio.Queue[_Event] = asyncio.Queue()

    async def answer(self, *, streamed: bool = False) -> dict[str, Any]:
        """All answers together, as a document that may leave.

        Raises:
            Refused: No answer has come; the first one's reason.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._sample(at, streamed=streamed and at == 0)) for at in range(len(self._asked))]
        results = [task.result() for task in tasks]
        refusals = [one for one in results if isinstance(one, Refused)]
        if len(refusals) == len(results):
            if refusals[0].status >= 500:
                self._taken.give_back(pixels=self._taken.amounts["pixels"])
            raise refusals[0]
        return await asyncio.to_thread(self._document, results)

    def _document(self, results: list[_Sample | Refused]) -> dict[str, Any]:
        """The answers of one model, of whichever gave the most: a share of several models' answers is no confidence of any."""
        digest = Counter(one.digest for one in results if isinstance(one, _Sample)).most_common(1)[0][0]
        samples = [_of_model(one, digest) for one in results]
        n = len(samples)
        told = told_answer(samples, self._precision, lambda location: self._question.radius(location, n, digest))
        return told | {"temperature": self._asked[0]["temperature"], "model": {"name": self._asked[0]["model"], "digest": digest}}

    async def _sample(self, at: int, *, streamed: bool) -> _Sample | Refused:
        """One answer, or why there is none."""
        try:
            reply, told = await (self._streamed(self._asked[at]) if streamed else self._whole(self._asked[at]))
        except Refused as refused:
            return self._without(refused, at)
        except OddReply:
            odd = Refused(503, "what the model's server sent is no answer; ask again", "odd_answer", retry_after_s=ODD_S)
            return self._without(odd, at)
        digest = told or self._question.digest
        self.first_digest = self.first_digest or digest
        self._answered += 1
        self._events.put_nowait(("progress", {"answered": self._answered, "n": len(self._asked)}))
        return _Sample(located(reply), digest)

    def _without(self, refused: Refused, at: int) -> Refused:
        """An answer that did not come costs its key nothing, if that is no fault of the client's."""
        if refused.status >= 500:
            self._taken.give_back(tokens=self._asked[at]["max_tokens"])
        return refused

    def _used(self, usage: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> None:
        """An answer costs its key the tokens that it has."""
        self._gateway.metrics.used(usage)
        if usage and isinstance(count := usage.get("completion_tokens"), int):
            self._taken.give_back(tokens=asked["max_tokens"] - count)

    async def _whole(self, asked: Mapping[str, Any]) -> tuple[Reply, str]:
        answer = await self._gateway.upstream.complete(asked, authorization=self._authorization)
        reply = completed(answer)
        self._used(answer.get("usage"), asked)  # now that nothing of it can fail, after which all of it would be given back
        return reply, answer.digest

    async def _streamed(self, asked: Mapping[str, Any]) -> tuple[Reply, str]:
        reader, sent, usage = ReplyReader(), 0, None
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = self._gateway.upstream.stream({**asked, **options}, authorization=self._authorization)
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                self.first_digest = self.first_digest or chunks.digest or self._question.digest
                usage = chunk.get("usage") or usage
                reader.take(chunk)
                if self._precision != "city":  # what may be told is known when the country is
                    continue
                reasoning = reasoning_so_far(reader.text)
                if len(reasoning) > sent:
                    self._events.put_nowait(("reasoning", {"text": reasoning[sent:]}))
                    sent = len(reasoning)
        reply = reader.finish()
        self._used(usage, asked)
        return reply, chunks.digest

    async def started_events(self) -> AsyncIterator[bytes]:
        """The request's events as they come; given back with the first of them, or after a while without one.

        Raises:
            Refused: There is no answer, and nothing has been sent yet: then that is the whole response, with its status.
        """
        task = asyncio.create_task(self.answer(streamed=True))
        first = asyncio.create_task(self._events.get())
        try:
            await asyncio.wait((task, first), timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
            if not first.done() and task.done():
                task.result()
        except BaseException:
            task.cancel()
            first.cancel()
            raise
        return self._written(task, first)

    async def _written(self, task: asyncio.Task[dict[str, Any]], waiting: asyncio.Task[_Event]) -> AsyncIterator[bytes]:
        try:
            while not (task.done() and self._events.empty() and not waiting.done()):
                await asyncio.wait((task, waiting), timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    yield event(*waiting.result())
                    waiting = asyncio.create_task(self._events.get())
                elif not task.done():
                    yield b": waiting\n\n"
            try:
                document = task.result()
            except Refused as refused:
                yield event("error", refused.body)
                return
            if self._precision != "city" and document["reasoning"]:
                yield event("reasoning", {"text": document["reasoning"]})
            yield event("answer", document)
        finally:
            task.cancel()
            waiting.cancel()


def _of_model(one: _Sample | Refused, digest: str) -> Location:
    if isinstance(one, Refused):
        return Location("call_failed", error=one.code)
    return one.location if one.digest == digest else Location("call_failed", error="another_model")


def reasoning_so_far(text: str) -> str:
    """The reasoning in the beginning of an answer, without what may be the beginning of a tag."""
    return parse(_HALF_TAG.sub("", text)).reasoning or ""


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """A server-sent event. JSON text has no line breaks, whatever is in its values."""
    return f"event: {name}\ndata: {to_json(data)}\n\n".encode("utf-8", "backslashreplace")
