"""Requests as OpenAI's clients send them, and those that could not be answered."""

import json

import pytest
from pydantic import ValidationError

from globe.gateway.chat_request import ChatRequest


def read(**fields: object) -> ChatRequest:
    asked = {"model": "globe", "messages": [{"role": "user", "content": "Where?"}]} | fields
    return ChatRequest.model_validate_json(json.dumps(asked))


def image(url: str) -> dict:
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}


def test_pictures_are_found_in_order_whatever_turn_they_are_in():
    turns = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief"}]},
        {"role": "user", "content": [image("a"), {"type": "text", "text": "?"}]},
        {"role": "assistant", "content": "Peru"},
        {"role": "user", "content": [image("b")]},
    ]
    assert read(messages=turns).pictures == ["a", "b"]


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0, "top_p": 1, "seed": -1, "stop": "x", "n": 2, "stream": None},
        {"max_tokens": 5, "max_completion_tokens": 5},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}}},
        {"user": "u", "metadata": {"k": "v"}, "store": False, "service_tier": "auto", "safety_identifier": "s"},
    ],
)
def test_what_clients_send_is_taken(fields):
    assert read(**fields)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"messages": [{"role": "assistant", "content": "x"}]}, "the last message must be the user's"),
        ({"messages": 2 * [{"role": "system", "content": "x"}] + [{"role": "user", "content": "x"}]}, "comes first"),
        ({"messages": [{"role": "system", "content": [image("a")]}, {"role": "user", "content": "x"}]}, "text"),
        ({"stream_options": {"include_usage": True}}, "stream_options needs stream"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "differ"),
        ({"stop": ["x"] * 17}, "at most 16"),
        ({"stop": ""}, "at least 1 character"),
        ({"seed": 2**63}, "less than"),
        ({"n": True}, "valid integer"),
        ({"model": 1}, "valid string"),
    ],
)
def test_what_cannot_be_answered_is_not(fields, why):
    with pytest.raises(ValidationError, match=why):
        read(**fields)
