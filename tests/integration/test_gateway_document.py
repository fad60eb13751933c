"""The gateway's own OpenAPI document, held against its answers by schemathesis, over real sockets."""

from collections.abc import Iterator

import pytest
import schemathesis
from gateway_process import running_gateway
from hypothesis import HealthCheck, settings
from raw_http import request
from recording_engine import recording_engine
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
schema = schemathesis.pytest.from_fixture("document")


@pytest.fixture(scope="module")
def key_and_url(tmp_path_factory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("gateway")
    key, _ = make_key(folder / "keys.json", "schemathesis", pixels_per_minute=10**12, tokens_per_minute=10**9)
    with recording_engine() as engine, running_gateway(folder, engine_url=engine.url, keys_file=folder / "keys.json") as gateway:
        host, port = gateway.address
        yield key, f"http://{host}:{port}"
        assert gateway.ask(request("GET", "/ready")).status == 200
        assert "Traceback" not in gateway.log.read_text()


@pytest.fixture(scope="module")
def document(key_and_url):
    """The document, as a client that generates code from it would load it."""
    return schemathesis.openapi.from_url(f"{key_and_url[1]}/openapi.json")


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says_and_none_is_a_fault_of_the_server(case, key_and_url):
    key, url = key_and_url
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)
