"""Which JSON schemas reach the engine's grammar compiler."""

import pytest

from globe.gateway.refused import Refused
from globe.gateway.schemas import MAX_DEPTH, check_schema

PLACE = {
    "type": "object",
    "properties": {"pattern": {"type": "string", "maxLength": 80}, "sure": {"type": "number"}, "signs": {"enum": ["$ref", 3]}},
    "required": ["pattern"],
    "additionalProperties": False,
}


def test_a_plain_schema_passes_whatever_its_properties_are_called():
    check_schema(PLACE)
    check_schema({"type": "array", "items": PLACE, "maxItems": 5})


def nested(depth: int) -> dict:
    return {"type": "array", "items": nested(depth - 1)} if depth else {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string", "pattern": "(a*)*b"}, "has pattern"),
        ({"$ref": "#"}, r"has \$ref"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1/"}}}, r"has \$ref"),
        ({"patternProperties": {".*": {}}}, "has patternProperties"),
        ({"type": "array", "maxItems": 10**9}, "has a maxItems"),
        ({"type": "string", "minLength": "9"}, "has a minLength"),
        (nested(MAX_DEPTH), "is deeper"),
        ({"enum": ["x" * 9_000]}, "has more than"),
    ],
)
def test_one_that_could_keep_the_engine_busy_does_not(schema, why):
    with pytest.raises(Refused, match=why) as raised:
        check_schema(schema)
    assert (raised.value.status, raised.value.param) == (400, "response_format")
