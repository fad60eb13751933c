"""A chat completion as clients may ask for it: what OpenAI's API has and this model can do, by an allow-list.

Whatever reaches the engine is written anew from these fields, so that none of vLLM's own (chat templates, processor settings,
token ids, prompts of embeddings) can be set from outside.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_MESSAGES = 64
MAX_STOPS = 16
_Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class ImageUrl(_Strict):
    """Where a picture is."""

    url: str = Field(description="data:image/jpeg;base64,... (also png and webp, and data:image;base64,); no address is fetched")
    detail: Literal["auto", "low", "high"] | None = Field(default=None, description="Makes no difference")


class ImagePart(_Strict):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class TextPart(_Strict):
    """A text in a message."""

    type: Literal["text"]
    text: str


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class SystemMessage(_Strict):
    """What the model is told first."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]


class UserMessage(_Strict):
    """A question, with the picture if it is about one."""

    role: Literal["user"]
    content: str | list[Part]


class AssistantMessage(_Strict):
    """An earlier answer."""

    role: Literal["assistant"]
    content: str | list[TextPart]


Message = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class StreamOptions(_Strict):
    """What else a stream tells."""

    include_usage: bool | None = Field(default=None, description="A last chunk counts the tokens")
    include_obfuscation: bool | None = Field(default=None, description="Makes no difference")


class JsonSchema(_Strict):
    """A schema that the answer follows."""

    name: str = Field(max_length=64)
    description: str | None = Field(default=None, max_length=2000, description="Makes no difference")
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = Field(default=None, description="Makes no difference: the answer always follows the schema")


class ResponseFormat(_Strict):
    """What form the answer takes."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _whole(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to the type json_schema, and it needs one")
        return self


class ChatRequest(_Strict):
    """A question, in the form of OpenAI's chat completions."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1, description="The newer name of max_tokens")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    n: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: _Stop | Annotated[list[_Stop], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    response_format: ResponseFormat | None = None
    user: str | None = Field(default=None, description="Dropped, and so are all that follow")
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None

    @model_validator(mode="after")
    def _possible(self) -> ChatRequest:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's")
        if any(message.role in ("system", "developer") for message in self.messages[1:]):
            raise ValueError("a system message comes first, and there is one at most")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        if self.stream_options and not self.stream:
            raise ValueError("stream_options needs stream")
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are one thing, and differ")
        return self

    @property
    def pictures(self) -> list[str]:
        """The addresses of all pictures."""
        contents = (message.content for message in self.messages if isinstance(message, UserMessage))
        parts = (part for content in contents if isinstance(content, list) for part in content)
        return [part.image_url.url for part in parts if isinstance(part, ImagePart)]
