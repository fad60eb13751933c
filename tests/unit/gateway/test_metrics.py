"""What is counted: routes, statuses, seconds and tokens, and no name that a client has made up."""

import threading

from engine_double import engine_double
from gateway_here import gateway_here, until
from prometheus_client import generate_latest


def values(gateway) -> dict[str, float]:
    lines = generate_latest(gateway.gateway.metrics.registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_requests_tokens_and_the_engines_state_are_counted():
    with engine_double("whole", "whole", "ending") as engine, gateway_here(engine_url=engine.url) as gateway:
        gateway.ask()
        gateway.ask(stream=True, stream_options={"include_usage": True})
        gateway.ask()
        gateway.get("/made-up-by-a-client")
        until(lambda: 'globe_gateway_requests_total{route="other",status="404"}' in values(gateway))
        told = values(gateway)
    assert told['globe_gateway_requests_total{route="/v1/chat/completions",status="200"}'] == 2
    assert told['globe_gateway_requests_total{route="/v1/chat/completions",status="503"}'] == 1
    assert told['globe_gateway_upstream_failures_total{place="engine"}'] == 1
    assert told['globe_gateway_answer_seconds_count{route="/v1/chat/completions"}'] == 3
    assert told['globe_gateway_tokens_total{kind="completion"}'] == 2 * 3
    assert (told["globe_gateway_engine_up"], told["globe_gateway_ready"], told["globe_gateway_in_flight"]) == (1, 1, 0)
    assert not [name for name in told if "made-up" in name]


def test_what_is_being_answered_is_counted_while_it_is():
    with engine_double(always="held") as engine, gateway_here(engine_url=engine.url) as gateway:
        asking = threading.Thread(target=gateway.ask)
        asking.start()
        until(lambda: engine.bodies)
        assert values(gateway)["globe_gateway_in_flight"] == 1
        engine.go_on.set()
        asking.join()
