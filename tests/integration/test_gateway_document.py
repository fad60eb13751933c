"""The gateway's own OpenAPI document, held against its answers by schemathesis, over real sockets."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
import schemathesis
from gateway_process import running_gateway
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from raw_http import request
from recording_engine import MODEL, recording_engine
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from globe.gateway.keyfile import make_key

CHECKS = [
    *(not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance),
    *(response_headers_conformance, allow_header_conformance, unsupported_method, ignored_auth),
]
EXAMPLES = 60
ASKABLE = {"model": MODEL, "messages": [{"role": "user", "content": "Where?"}], "max_tokens": 8}


@pytest.fixture(scope="module")
def key_and_url(tmp_path_factory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("gateway")
    key, _ = make_key(folder / "keys.json", "schemathesis", pixels_per_minute=10**12, tokens_per_minute=10**9)
    with recording_engine() as engine, running_gateway(folder, engine_url=engine.url, keys_file=folder / "keys.json") as gateway:
        host, port = gateway.address
        yield key, f"http://{host}:{port}"
        assert gateway.ask(request("GET", "/ready")).status == 200
        assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_the_document_says_and_none_is_a_fault_of_the_server(key_and_url, mode):
    key, url = key_and_url
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    told: set[tuple[str, int]] = set()

    def try_one(operation: APIOperation) -> None:
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers(case: Case) -> None:
            if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
                case.body |= ASKABLE  # else nearly every question is about a model that there is none of
            reply = case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)
            told.add((f"{case.method} {case.path}", reply.status_code))

        with suppress(Unsatisfiable):  # a request without anything to set cannot be wrong
            answers()

    for found in document.get_all_operations():
        try_one(found.ok())
    print(told)
    wanted = 200 if mode is GenerationMode.POSITIVE else 400
    assert ("POST /v1/chat/completions", wanted) in told
