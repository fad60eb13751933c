import json
import logging
import os
from datetime import UTC, datetime, timedelta

import pytest

from globe.errors import InputError
from globe.gateway.keyfile import make_key, revoke_key
from globe.gateway.keys import ANYONE, Client, KeyRing
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def looks(monkeypatch):
    """The file is looked at with each request, and not once a second."""
    monkeypatch.setattr("globe.gateway.keys.LOOK_EVERY_S", 0.0)


def ring(path) -> KeyRing:
    return KeyRing(GatewaySettings(keys_file=path, pixels_per_minute=7, tokens_per_minute=8))


def code(keys, authorization) -> str:
    with pytest.raises(Refused) as refused:
        keys.client(authorization)
    assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": "Bearer"})
    return refused.value.code


def test_a_key_is_known_with_its_own_limits_or_the_gateways(path):
    first, _ = make_key(path, "first", pixels_per_minute=1)
    second, _ = make_key(path, "second", tokens_per_minute=2)
    keys = ring(path)
    assert keys.client(f"Bearer {first}") == Client("first", 1, 8)
    assert keys.client(f"bearer  {second} ") == Client("second", 7, 2)


def test_nothing_else_is_a_key(path):
    key, record = make_key(path, "ci")
    keys = ring(path)
    for authorization in (None, "", "Bearer", "Bearer ", key, f"Basic {key}"):
        assert code(keys, authorization) == "no_key"
    for wrong in (key[:-1], key + "a", key.swapcase(), record.sha256, "ci", "\xe4", "*", f"{key} {key}", f"{key},x"):
        assert code(keys, f"Bearer {wrong}") == "invalid_key"


def test_an_expired_and_a_revoked_key_open_nothing_and_say_why(path):
    expired, _ = make_key(path, "old", expires=datetime.now(UTC) - timedelta(seconds=1))
    revoked, _ = make_key(path, "bad")
    good, _ = make_key(path, "good", expires=datetime.now(UTC) + timedelta(hours=1))
    revoke_key(path, "bad")
    keys = ring(path)
    assert code(keys, f"Bearer {expired}") == "expired_key"
    assert code(keys, f"Bearer {revoked}") == "revoked_key"
    assert keys.client(f"Bearer {good}").name == "good"


def test_without_a_file_anyone_may_ask_and_with_one_that_is_missing_or_broken_nothing_starts(path):
    assert KeyRing(GatewaySettings()).client(None).name == ANYONE
    with pytest.raises(InputError, match="no such file; make a key first"):
        ring(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not what `globe keys` writes"):
        ring(path)


def test_a_key_that_is_revoked_or_made_counts_without_a_restart(path, looks):
    first, _ = make_key(path, "first")
    keys = ring(path)
    second, _ = make_key(path, "second")
    assert keys.client(f"Bearer {second}").name == "second"
    revoke_key(path, "first")
    assert code(keys, f"Bearer {first}") == "revoked_key"


def test_the_kubelets_swap_of_a_link_is_seen(tmp_path, looks):
    """A secret's volume: keys.json is a link through ..data, which is swapped for another folder's."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
    old, _ = make_key(tmp_path / "..1" / "keys.json", "old")
    new, _ = make_key(tmp_path / "..2" / "keys.json", "new")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    keys = ring(tmp_path / "keys.json")
    assert keys.client(f"Bearer {old}").name == "old"
    (tmp_path / "..data_tmp").symlink_to("..2")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    assert keys.client(f"Bearer {new}").name == "new"
    assert code(keys, f"Bearer {old}") == "invalid_key"


@pytest.mark.parametrize("spoil", ["break", "remove"])
def test_a_new_file_that_cannot_be_read_is_told_once_and_the_last_good_one_holds(path, looks, caplog, spoil):
    key, _ = make_key(path, "ci")
    keys = ring(path)
    good = path.read_text()
    path.unlink() if spoil == "remove" else path.write_text(json.dumps({"keys": [{"name": "secret-name"}]}))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert keys.client(f"Bearer {key}").name == "ci"
    assert len(caplog.records) == 1
    assert str(path) in keys.fault
    path.write_text(good)
    assert keys.client(f"Bearer {key}").name == "ci"
    assert keys.fault == ""
