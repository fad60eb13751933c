"""The one shape of every error."""

import pytest

from globe.gateway.refused import Refused


def test_an_error_has_the_shape_that_openais_clients_read():
    refused = Refused(404, "no such model", "model_not_found", param="model")
    told = {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found", "param": "model"}
    assert (refused.body, refused.headers) == ({"error": told}, {})


@pytest.mark.parametrize(("wait_s", "header"), [(0.0, "1"), (0.2, "1"), (2, "2"), (2.1, "3")])
def test_when_to_ask_again_is_told_in_whole_seconds(wait_s, header):
    refused = Refused(503, "not now", "unavailable", retry_after_s=wait_s)
    assert refused.headers == {"Retry-After": header}
    assert refused.body["error"]["type"] == "service_unavailable"


def test_who_has_no_key_is_told_how_to_send_one():
    assert Refused(401, "no key", "no_key").headers == {"WWW-Authenticate": "Bearer"}
