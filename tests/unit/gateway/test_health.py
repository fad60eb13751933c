"""What a cluster asks: /health, /ready and /live, each in every state."""

import pytest
from engine_double import engine_double
from gateway_here import gateway_here

from globe.gateway import ready


@pytest.fixture(scope="module")
def gateway():
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(ready, "EVERY_S", 3600.0)  # once it is ready, its own looking changes nothing that a test has set
        with engine_double() as engine, gateway_here(engine_url=engine.url, keys_file=None) as gateway:
            yield gateway


def test_a_gateway_whose_engine_answers_is_well(gateway):
    assert [gateway.get(path).status for path in ("/health", "/ready", "/live")] == 3 * [200]


def test_a_gateway_without_an_engine_lives_and_is_not_ready():
    with gateway_here(ready=False, engine_url="http://127.0.0.1:9") as gateway:
        assert [gateway.get(path).status for path in ("/health", "/ready", "/live")] == [200, 503, 200]
        reply = gateway.get("/ready")
        assert (reply.code, reply.headers["retry-after"]) == ("no_engine", "5")


@pytest.mark.parametrize(
    ("state", "codes"),
    [
        ({"hung": True}, {"/ready": "hung", "/live": "hung"}),
        ({"draining": True}, {"/ready": "shutting_down"}),
        ({"proven": False, "up": True}, {"/ready": "starting"}),
    ],
)
def test_each_state_is_told_where_it_matters(gateway, monkeypatch, state, codes):
    for name, value in state.items():
        monkeypatch.setattr(gateway.gateway.status, name, value)
    replies = {path: gateway.get(path) for path in ("/health", "/ready", "/live")}
    assert {path: reply.code for path, reply in replies.items() if reply.status == 503} == codes
