"""POST /v1/chat/completions: OpenAI's API, for the clients that people have."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from globe.gateway.chat_request import ChatRequest, ImagePart, Part
from globe.gateway.documents import CHAT_RESPONSES, body_of
from globe.gateway.invalid import invalid
from globe.gateway.limits import Taken
from globe.gateway.pictures import picture_bytes
from globe.gateway.refused import Refused
from globe.gateway.schemas import check_schema
from globe.gateway.sse import EventStream, unless_gone
from globe.gateway.state import Gateway
from globe.gateway.texts import neutralised, special_tokens
from globe.gateway.upstream import HOP_HEADER, PATH, PROOF_HEADER, Chunks
from globe.models.checkpoints import open_model
from globe.served import says

_SAMPLING = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs")
_DOCUMENT = ("id", "object", "created", "model", "usage")
_CHOICE = ("index", "logprobs", "finish_reason")
_SAID = ("role", "content")
"""What OpenAI's documents have; vLLM's have more, such as ids of tokens and its release."""


def router(gateway: Gateway) -> APIRouter:
    """The route.

    Raises:
        InputError: The checkpoint's tokenizer cannot be read.
    """
    routes, checkpoint = APIRouter(), gateway.settings.checkpoint
    specials = special_tokens(Path(open_model(checkpoint).uri)) if checkpoint else frozenset[str]()

    @routes.post(PATH, responses=CHAT_RESPONSES, openapi_extra=body_of(ChatRequest), summary="Ask the model", tags=["model"])
    async def complete(request: Request) -> Response:
        """Ask the model anything about one picture, or none."""
        headers = request.headers
        authorization, hopped = headers.get("authorization"), headers.get(HOP_HEADER) == "1"
        body = await _json_body(request)
        if hopped and gateway.upstream.came_from_a_gateway(body, headers.get(PROOF_HEADER)):
            asked, taken = json.loads(body), gateway.limits.nothing()  # its own gateway has counted it
            tells_usage = True
        else:
            asked, taken, tells_usage = await _checked(gateway, authorization, body, specials)
        with taken.unless_refused():
            if asked.get("stream"):
                chunks = gateway.upstream.stream(asked, authorization=authorization, hopped=hopped)
                return await _streamed(gateway, request, chunks, taken, tells_usage=tells_usage)
            answer = await unless_gone(request, gateway.upstream.complete(asked, authorization=authorization, hopped=hopped))
        gateway.metrics.used(answer.get("usage"))
        taken.used(answer.get("usage"))
        return Response(_json(answer), media_type="application/json", headers=says(answer.digest))

    return routes


async def _json_body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # which no page of another site can send without asking first
        raise Refused(415, "send JSON, with Content-Type: application/json", "not_json")
    return await request.body()


async def _checked(
    gateway: Gateway, authorization: str | None, body: bytes, specials: frozenset[str]
) -> tuple[dict[str, Any], Taken, bool]:
    """What the engine is asked, once everything about a client's request has been found to be in order, what that costs, and
    whether the client wants to hear the count of tokens at a stream's end."""
    client = gateway.keys.client(authorization)
    settings = gateway.settings
    if settings.max_precision != "city":
        raise Refused(403, "this server tells places no finer than it may; ask POST /locate", "precision_is_limited")
    try:
        asked = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_input=False, include_context=False)) from None
    written = _written(gateway, asked)
    if len(urls := asked.pictures) > 1:
        raise Refused(400, "one picture at a time", "too_many_pictures", param="messages")
    data = picture_bytes(urls[0]) if urls else b""
    tokens = (written.get("max_tokens") or settings.max_tokens) * (asked.n or 1)
    taken = gateway.limits.take(client, pixels=gateway.pictures.pixels(data) if urls else 0, tokens=tokens)
    with taken.unless_refused():
        url = (await gateway.pictures.prepare(data)).url if urls else ""
    tells_usage = bool(asked.stream_options and asked.stream_options.include_usage)
    return written | {"messages": _messages(asked, url, specials)}, taken, tells_usage


def _written(gateway: Gateway, asked: ChatRequest) -> dict[str, Any]:
    """All of a request but its messages, as it is written for the engine.

    Raises:
        Refused: It asks for more than there is.
    """
    settings, wants = gateway.settings, asked.max_completion_tokens or asked.max_tokens
    if asked.model != settings.model:
        raise Refused(404, "there is no such model here; GET /v1/models lists what there is", "model_not_found", param="model")
    if (asked.n or 1) > settings.max_samples:
        raise Refused(400, f"at most {settings.max_samples} answers at once", "too_many_answers", param="n")
    if (wants or 0) > settings.max_tokens:
        raise Refused(400, f"an answer has at most {settings.max_tokens} tokens here", "too_many_tokens", param="max_tokens")
    written: dict[str, Any] = {"model": settings.model, "n": asked.n or 1}
    if not wants and gateway.status.max_model_len > 2 * settings.max_tokens:  # else the model's own limit bounds it well enough
        wants = settings.max_tokens
    written |= {"max_tokens": wants} if wants else {}
    written |= {name: value for name in _SAMPLING if (value := getattr(asked, name)) is not None}
    if asked.stop:
        written["stop"] = asked.stop
    if asked.stream:
        written |= {"stream": True, "stream_options": {"include_usage": True}}  # which is counted, whoever hears it
    return written | _response_format(asked)


def _response_format(asked: ChatRequest) -> dict[str, Any]:
    wanted = asked.response_format
    if not wanted or wanted.type == "text":
        return {}
    if not wanted.json_schema:
        return {"response_format": {"type": "json_object"}}
    check_schema(wanted.json_schema.schema_)
    schema = {"name": "answer", "schema": wanted.json_schema.schema_, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _messages(asked: ChatRequest, picture: str, specials: frozenset[str]) -> list[dict[str, Any]]:
    """The turns, with the one picture at its place."""

    def part(given: Part) -> dict[str, Any]:
        if isinstance(given, ImagePart):
            return {"type": "image_url", "image_url": {"url": picture}}
        return {"type": "text", "text": neutralised(given.text, specials)}

    turns = []
    for message in asked.messages:
        content = message.content
        written = neutralised(content, specials) if isinstance(content, str) else [part(given) for given in content]
        turns.append({"role": "system" if message.role == "developer" else message.role, "content": written})
    return turns


async def _streamed(gateway: Gateway, request: Request, chunks: Chunks, taken: Taken, *, tells_usage: bool) -> Response:
    try:
        first = await unless_gone(request, chunks.__anext__())  # an error until now is an answer of its own, with its status
    except BaseException:
        await chunks.aclose()
        raise

    async def data() -> AsyncIterator[bytes]:
        try:
            yield _event(first)
            async for chunk in chunks:
                usage = chunk.get("usage") if tells_usage else chunk.pop("usage", None)
                gateway.metrics.used(usage)
                taken.used(usage)
                if tells_usage or chunk["choices"]:  # the last one has no choices, and is all about that count
                    yield _event(chunk)
            yield b"data: [DONE]\n\n"
        except Refused as refused:
            yield b"data: " + json.dumps(refused.body).encode() + b"\n\n"
        finally:
            await chunks.aclose()

    return EventStream(data(), says(chunks.digest))


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + _json(chunk) + b"\n\n"


def _json(document: Mapping[str, Any]) -> bytes:
    """An answer, or a chunk of one, with what OpenAI's have and nothing else."""
    choices = []
    for choice in document["choices"]:
        kept = {name: choice[name] for name in _CHOICE if name in choice}
        for said in ("message", "delta"):
            if said in choice:
                kept[said] = {name: choice[said][name] for name in _SAID if name in choice[said]}
        choices.append(kept)
    told = {name: document[name] for name in _DOCUMENT if name in document} | {"choices": choices}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
