"""The OpenAPI document: complete, and true of what the gateway answers."""

import json

import pytest
from engine_double import engine_double
from gateway_here import QUESTION, gateway_here
from jsonschema import Draft202012Validator

from globe.gateway.app import create_app
from globe.gateway.settings import GatewaySettings


@pytest.fixture(scope="module")
def document() -> dict:
    return create_app(GatewaySettings()).openapi()


def schema_of(document: dict, name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_every_schema_that_it_names_is_in_it(document):
    named = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert named <= document["components"]["schemas"].keys()
    assert {"ChatRequest", "ChatCompletion", "ModelList", "Error"} <= named
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_route_tells_the_errors_that_it_may_answer(document):
    for path in document["paths"].values():
        for operation in path.values():
            assert {"400", "401", "413", "415", "422", "429", "503", "504"} <= operation["responses"].keys()
            assert "Retry-After" in operation["responses"]["503"]["headers"]
            assert operation["responses"]["503"]["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/Error"
            }


def test_answers_and_errors_are_what_it_says(document):
    with engine_double("whole", "ending") as engine, gateway_here(engine_url=engine.url) as gateway:
        assert gateway.get("/openapi.json").json == document
        told = {"ChatCompletion": gateway.ask(), "Error": gateway.ask(), "ModelList": gateway.get("/v1/models")}
    for name, reply in told.items():
        schema_of(document, name).validate(reply.json)


def test_a_question_is_described_as_it_is_read(document):
    schema = schema_of(document, "ChatRequest")
    schema.validate(QUESTION | {"temperature": 0.5, "stop": ["x"]})
    wrong = [QUESTION | {"chat_template": "x"}, {"model": "globe"}, QUESTION | {"temperature": 3}]
    assert [schema.is_valid(asked) for asked in wrong] == [False] * 3
    assert json.dumps(document).count("data:image/jpeg;base64") == 1
