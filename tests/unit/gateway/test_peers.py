"""Where the other replicas are."""

import asyncio

import pytest

from globe.errors import InputError
from globe.gateway.peers import Peers
from globe.gateway.settings import GatewaySettings


def found(peers: str, port: int = 8080) -> list[str]:
    return asyncio.run(Peers(GatewaySettings(peers=peers, port=port)).found())


def test_a_gateway_that_is_alone_has_none():
    assert found("") == []


def test_a_name_is_looked_up_and_this_very_replica_left_out():
    assert found("localhost:8081", port=8080) == ["http://127.0.0.1:8081"] or "http://[::1]:8081" in found("localhost:8081")
    assert found("localhost:8080", port=8080) == []


def test_a_name_that_nobody_knows_just_now_is_no_error():
    assert found("nobody.invalid:8080") == []


@pytest.mark.parametrize("peers", ["globe", "globe:", ":8080", "globe:http", "globe:0", "globe:70000"])
def test_what_is_no_host_with_a_port_is_told_at_the_start(peers):
    with pytest.raises(InputError, match=r"give HOST:PORT"):
        Peers(GatewaySettings(peers=peers))
