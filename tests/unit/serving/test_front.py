"""Where a model is served on this machine, and what its gateway is told."""

import os
import socket

import pytest

from globe.errors import InputError
from globe.gateway.settings import read_settings
from globe.serving.front import Front, is_loopback, own_settings, require_free


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GLOBE_")]:
        monkeypatch.delenv(name)


def test_a_port_that_is_taken_is_refused_with_its_owner():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"^--port {port}: is taken by process {os.getpid()} \(.*\); give another one, or 0"
        ):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)
    require_free("127.0.0.1", 0)


@pytest.mark.parametrize(("host", "said"), [("nowhere.invalid", "there is no such host"), ("203.0.113.7", "cannot listen there")])
def test_an_address_that_is_not_this_machines_is_refused(host, said):
    with pytest.raises(InputError, match=f"^--host {host}: .*{said}"):
        require_free(host, 0)


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        *[(host, True) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost")],
        *[(host, False) for host in ("0.0.0.0", "::", "10.1.2.3", "example.org", "")],
    ],
)
def test_only_addresses_of_this_machine_alone_need_no_keys(host, alone):
    assert is_loopback(host) is alone


def test_without_keys_the_one_client_is_not_limited_and_with_keys_each_is():
    alone = read_settings(None, own_settings(Front(), "globe"))
    keyed = read_settings(None, own_settings(Front(keys_file="keys.yaml"), "globe"))
    assert alone.tokens_per_minute > 1000 * keyed.tokens_per_minute
    assert alone.pixels_per_minute > 1000 * keyed.pixels_per_minute
    assert (alone.keys_file, str(keyed.keys_file)) == (None, "keys.yaml")


def test_what_the_command_says_comes_before_the_environment_which_comes_before_what_is_usual_here(monkeypatch):
    monkeypatch.setenv("GLOBE_GATEWAY_MODEL", "another")
    monkeypatch.setenv("GLOBE_GATEWAY_TOKENS_PER_MINUTE", "77")
    monkeypatch.setenv("GLOBE_GATEWAY_MAX_BODY_BYTES", "1000")
    monkeypatch.setenv("GLOBE_GATEWAY_PEERS", "elsewhere:8080")
    told = read_settings(None, own_settings(Front(max_precision="region", page=False), "mine"))
    assert (told.model, told.tokens_per_minute, told.max_body_bytes, told.peers) == ("mine", 77, 1000, "")
    assert (told.max_precision, told.page, told.show_checkpoint, told.drain_s) == ("region", False, True, 0)


def test_a_gateway_that_others_reach_does_not_tell_them_where_the_checkpoint_lies():
    assert not read_settings(None, own_settings(Front("0.0.0.0", keys_file="k"), "globe")).show_checkpoint


@pytest.mark.parametrize(("setting", "value"), [("MAX_PRECISION", "street"), ("COLOUR", "red"), ("ATTEMPTS", "-1")])
def test_a_setting_that_cannot_be_one_is_refused_before_anything_starts(monkeypatch, setting, value):
    monkeypatch.setenv(f"GLOBE_GATEWAY_{setting}", value)
    with pytest.raises(InputError, match=setting.lower()):
        read_settings(None, own_settings(Front(), "globe"))
