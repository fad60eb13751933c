"""An operator's settings: from a file, from the environment, and wrong ones."""

from pathlib import Path

import pytest

from globe.errors import InputError
from globe.gateway.settings import read_settings


def test_the_environment_stands_above_the_file(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text("port: 1\nmodel: here\ndrain_s: 0.5\n")
    environment = {"GLOBE_GATEWAY_PORT": "9000", "GLOBE_GATEWAY_PAGE": "false", "GLOBE_GATEWAY_CHECKPOINT": "/c", "PORT": "3"}
    told = read_settings(file, environment)
    assert (told.port, told.model, told.drain_s, told.page, told.checkpoint) == (9000, "here", 0.5, False, Path("/c"))


def test_an_empty_variable_sets_nothing():
    assert read_settings(None, {"GLOBE_GATEWAY_PEERS": "", "GLOBE_GATEWAY_KEYS_FILE": ""}) == read_settings(None, {})


def test_what_kubernetes_says_of_a_service_of_that_name_sets_nothing():
    told = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "80", "SERVICE_PORT_HTTP": "80", "PORT": "tcp://10.0.0.1:80"}
    told |= {"PORT_80_TCP": "tcp://10.0.0.1:80", "PORT_80_TCP_ADDR": "10.0.0.1", "HOST": "0.0.0.0", "METRICS_PORT": "81"}
    settings = read_settings(None, {f"GLOBE_GATEWAY_{name}": value for name, value in told.items()})
    assert (settings.host, settings.port, settings.metrics_port) == ("0.0.0.0", 8080, 81)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("prot: 1", "prot: there is no such setting"),
        ("port: 70000", "port: .*65535"),
        ("max_precision: street", "max_precision: .*'city'"),
        ("- a", "holds no settings"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, why):
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"gateway\.yaml: {why}"):
        read_settings(file, {})


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_settings(tmp_path / "none.yaml", {})
    with pytest.raises(InputError, match=r"^GLOBE_GATEWAY_PORTE: there is no such setting$"):
        read_settings(None, {"GLOBE_GATEWAY_PORTE": "1"})
