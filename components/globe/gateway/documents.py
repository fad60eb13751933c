"""The gateway's OpenAPI document: what is asked and answered, and the one shape of every error."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

_SCHEMAS = "#/components/schemas/{model}"


class ErrorDetail(BaseModel):
    """What is wrong, and what to do."""

    message: str
    type: Literal["invalid_request_error", "service_unavailable"]
    code: str
    param: str | None


class Error(BaseModel):
    """Every error's answer."""

    error: ErrorDetail


class AnswerMessage(BaseModel):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None


class TopLogprob(BaseModel):
    """A token that could have stood there."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    """All tokens of the answer."""

    content: list[TokenLogprob] | None


class Choice(BaseModel):
    """One answer, which is whole, or as long as it was to be at most."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"]


class Usage(BaseModel):
    """How many tokens it took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """The model's answers."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class ModelCard(BaseModel):
    """A model that may be asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int | None = Field(default=None, description="Tokens that question and answer may have together")
    root: str | None = Field(default=None, description="The checkpoint's folder, if clients on its own machine are to find it")


class ModelList(BaseModel):
    """The models that there are: one."""

    object: Literal["list"]
    data: list[ModelCard]


_WAIT = {"Retry-After": {"description": "Seconds after which to ask again", "schema": {"type": "integer", "minimum": 1}}}
_WHY = {
    400: "Not understood",
    401: "No such key",
    403: "Not allowed on this server",
    404: "There is no such thing here",
    405: "Not with this method",
    408: "The request took too long to come",
    413: "Too large",
    415: "Another kind of content than is taken",
    422: "Understood, but not possible",
    429: "Over the key's limit",
    431: "The headers are too large",
    500: "A mistake of this server",
    503: "Not now",
    504: "No whole answer in time",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": why} | ({"headers": _WAIT} if status in (429, 503) else {})
    for status, why in _WHY.items()
}
"""For `include_router(..., responses=ERRORS)`: what any route that asks the model may answer."""
CHAT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ChatCompletion,
        "description": "The whole answer, or with `stream` its chunks as server-sent events, the last of which is `[DONE]`",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a JSON body that a route reads by itself; `describe` adds the schemas that it names."""
    schema = {"$ref": _SCHEMAS.format(model=model.__name__)}
    _BODIES.add(model)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_BODIES: set[type[BaseModel]] = set()


def describe(app: FastAPI) -> dict[str, Any]:
    """The application's OpenAPI document."""
    if not app.openapi_schema:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = document.setdefault("components", {})
        for model in _BODIES:
            schema = model.model_json_schema(ref_template=_SCHEMAS)
            components.setdefault("schemas", {}).update(schema.pop("$defs", {}) | {model.__name__: schema})
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
