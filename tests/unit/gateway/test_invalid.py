"""How a wrong request is explained: by its field, and without what it holds."""

import pytest
from pydantic import ValidationError

from globe.gateway.chat_request import ChatRequest
from globe.gateway.invalid import invalid

TURN = '"messages": [{"role": "user", "content": "x"}]'


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("{", "not_json", "the body is not JSON"),
        ("{" + TURN + "}", "invalid_request", "model: Field required"),
        ('{"model": "m", "a.b\\u001b": 1, ' + TURN + "}", "unknown_field", "a.b: there is no such field here"),
        ('{"model": "m", "messages": [{"role": "tool"}]}', "unknown_kind", "messages[0]: a kind that is not taken here"),
        ('{"model": "m", "top_logprobs": 1, ' + TURN + "}", "invalid_request", "top_logprobs needs logprobs"),
        ('{"model": "m", "temperature": NaN, ' + TURN + "}", "invalid_request", "temperature: Input should be a finite number"),
    ],
)
def test_a_wrong_request_is_explained(body, code, message):
    with pytest.raises(ValidationError) as raised:
        ChatRequest.model_validate_json(body)
    refused = invalid(raised.value.errors())
    assert (refused.status, refused.code, refused.message) == (400, code, message)


def test_a_long_name_is_cut():
    with pytest.raises(ValidationError) as raised:
        ChatRequest.model_validate_json('{"model": "m", "' + "x" * 10_000 + '": 1, ' + TURN + "}")
    assert len(invalid(raised.value.errors()).message) < 200


def test_parameters_of_a_query_are_named_alone():
    assert invalid([{"loc": ("query", "n"), "type": "int_parsing", "msg": "no number"}]).message == "n: no number"
