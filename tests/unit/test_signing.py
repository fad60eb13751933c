import json

import pytest

from globe.errors import InputError
from globe.signing import KEY_VARIABLE, SIGNATURE, SIGNED_VARIABLE, Unsigned, is_signing, require_signed, signed

KEY = "0123456789abcdef" * 2
PLACE = "result sft/0123456789abcdef"
RECORD = {"outcome": {"loss": 0.25, "city": "São Paulo"}, "files": {"model.safetensors": ["ab", 12]}}


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.fixture
def no_key(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(SIGNED_VARIABLE, raising=False)


def test_a_signed_record_holds_after_it_was_written_and_read(key):
    read = json.loads(json.dumps(signed(RECORD, PLACE), ensure_ascii=False))
    require_signed(read, PLACE, "result.json")
    assert read | {} == RECORD | {SIGNATURE: read[SIGNATURE]}


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["outcome"].update(loss=0.24),
        lambda record: record["files"].update({"run.py": ["cd", 3]}),
        lambda record: record.update(more=1),
        lambda record: record.pop("files"),
        lambda record: record.pop(SIGNATURE),
        lambda record: record.update(signature=None),
        lambda record: record.update(signature="é"),
        lambda record: record.update(signature="0" * 64),
    ],
)
def test_a_changed_record_does_not_hold(key, change):
    record = json.loads(json.dumps(signed(RECORD, PLACE)))
    change(record)
    with pytest.raises(Unsigned, match=r"^result\.json: "):
        require_signed(record, PLACE, "result.json")


def test_a_record_does_not_hold_in_another_place(key):
    with pytest.raises(Unsigned):
        require_signed(signed(RECORD, PLACE), "result sft/fedcba9876543210", "result.json")


def test_a_record_that_another_key_has_signed_does_not_hold(key, monkeypatch):
    record = signed(RECORD, PLACE)
    monkeypatch.setenv(KEY_VARIABLE, KEY[::-1])
    with pytest.raises(Unsigned, match="another key"):
        require_signed(record, PLACE, "result.json")


def test_signing_again_replaces_the_signature(key):
    assert signed(signed(RECORD, PLACE), PLACE) == signed(RECORD, PLACE)


def test_keys_that_are_numbers_hold_after_they_were_written_and_read(key):
    record = {"shares": {2: "b", 10: "a"}}
    require_signed(json.loads(json.dumps(signed(record, PLACE))), PLACE, "result.json")


def test_without_a_key_nothing_is_signed_or_checked(no_key):
    assert not is_signing()
    assert signed(RECORD, PLACE) == RECORD
    require_signed(RECORD, PLACE, "result.json")


def test_a_run_that_should_sign_stops_without_its_key(no_key, monkeypatch):
    monkeypatch.setenv(SIGNED_VARIABLE, "globe-signing")
    for act in (is_signing, lambda: signed(RECORD, PLACE), lambda: require_signed(RECORD, PLACE, "result.json")):
        with pytest.raises(InputError, match="key GLOBE_SIGNING_KEY of secret globe-signing"):
            act()


def test_a_short_key_is_refused(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    with pytest.raises(InputError, match="6 characters could be guessed"):
        is_signing()
