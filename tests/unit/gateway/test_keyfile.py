import json
import multiprocessing
import re
import stat
from datetime import UTC, datetime, timedelta

import pytest

from globe.errors import InputError
from globe.gateway.keyfile import digest_of, expiry_of, is_key, make_key, new_key, read_keys, revoke_key

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_key_is_known_as_one_by_its_prefix_and_checksum_alone():
    keys = {new_key() for _ in range(500)}
    assert len(keys) == 500
    assert all(is_key(key) and re.fullmatch("globe_[0-9A-Za-z]{42}", key) for key in keys)
    key = keys.pop()
    other = "a" if key[10] != "a" else "b"
    assert not is_key(key[:10] + other + key[11:])
    assert not is_key(key + "\n")


def test_the_file_has_no_key_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "keys.json"
    key, record = make_key(path, "ci", expires=NOW, tokens_per_minute=5)
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_keys(path) == (record,)
    assert (record.sha256, record.expires, record.pixels_per_minute, record.tokens_per_minute) == (digest_of(key), NOW, None, 5)
    assert [found.name for found in tmp_path.iterdir()] == ["keys.json"]


def test_a_name_is_one_keys_until_that_is_revoked(tmp_path):
    path = tmp_path / "keys.json"
    make_key(path, "ci")
    with pytest.raises(InputError, match="there is an active key of this name"):
        make_key(path, "ci")
    revoked = revoke_key(path, "ci")
    assert revoke_key(path, "ci") == revoked
    make_key(path, "ci")
    assert [key.state(datetime.now(UTC)) for key in read_keys(path)] == ["revoked", "active"]
    with pytest.raises(InputError, match="has no key of this name; it has ci"):
        revoke_key(path, "other")


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a/b", "a\n", "ä", "a" * 64, "(anyone)", "\x1b[31m"])
def test_a_bad_name_is_refused_and_no_file_is_made(tmp_path, name):
    with pytest.raises(InputError, match="a name is up to 63 letters"):
        make_key(tmp_path / "keys.json", name)
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("12h", NOW + timedelta(hours=12)),
        ("30m", NOW + timedelta(minutes=30)),
        ("4w", NOW + timedelta(weeks=4)),
        ("2027-01-31", datetime(2027, 2, 1, tzinfo=UTC)),
        ("2026-11-30", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_span_or_a_day_at_whose_end_the_key_expires(text, until):
    assert expiry_of(text, NOW) == until


@pytest.mark.parametrize("text", ["", "90", "0d", "-1d", "1y", "99999999w", "2026-11-29", "2027-13-01", "tomorrow", "9999-12-31"])
def test_any_other_expiry_is_bad_input(text):
    with pytest.raises(InputError, match="--expires"):
        expiry_of(text, NOW)


GOOD = {"name": "ci", "sha256": "0" * 64, "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "JSON"),
        ("{}x", "JSON"),
        ("[]", "keys"),
        (json.dumps({"version": 2, "keys": []}), "version"),
        (json.dumps({"keys": [{**GOOD, "sha256": "secret"}]}), "sha256"),
        (json.dumps({"keys": [{**GOOD, "key": "globe_x"}]}), "key"),
        (json.dumps({"keys": [{**GOOD, "expires": "soon"}]}), "expires"),
        (json.dumps({"keys": [{**GOOD, "created": "2026-01-01T00:00:00"}]}), "created"),
        (json.dumps({"keys": [{**GOOD, "tokens_per_minute": 0}]}), "tokens_per_minute"),
        (json.dumps({"keys": [GOOD, {**GOOD, "name": "other"}]}), "the same key twice"),
        ("x" * 1_000_000, "over 900000 bytes"),
    ],
)
def test_a_file_that_is_none_of_keys_is_refused_in_one_line_that_quotes_nothing(tmp_path, text, reason):
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as refused:
        read_keys(path)
    assert str(path) in str(refused.value)
    assert not {"secret", "globe_x", "soon"} & set(str(refused.value).split())


def test_no_file_a_folder_and_a_folder_that_is_not_there_are_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError):
            read_keys(path)
    with pytest.raises(InputError, match="cannot be written"):
        make_key(tmp_path / "no" / "keys.json", "ci")


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link.json").symlink_to("keys.json")
    make_key(tmp_path / "link.json", "ci")
    assert (tmp_path / "link.json").is_symlink()
    assert len(read_keys(tmp_path / "keys.json")) == 1


def _make_some(path, number):
    for at in range(10):
        make_key(path, f"k{number}-{at}")


def test_of_keys_that_are_made_at_once_none_is_lost(tmp_path):
    path = tmp_path / "keys.json"
    context = multiprocessing.get_context("fork")
    makers = [context.Process(target=_make_some, args=(path, number)) for number in range(6)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {key.name for key in read_keys(path)} == {f"k{number}-{at}" for number in range(6) for at in range(10)}
