"""Stage validate: the plan of a run, with what only the cluster can tell, or one error."""

import json

import pytest

from globe.errors import InputError
from globe.run.preflight import Request
from globe.run.validate import validate
from globe.storage import S3_KEYS, S3_VARIABLES

STAGES = ("source", "curation", "sft", "reward_model", "grpo", "serving", "evaluation")
DEMO = Request(
    recipes=dict.fromkeys(STAGES, "demo"),
    stages=STAGES,
    source="toy",
    teachers="simulated",
    base_model="tiny",
    train_sft=True,
    train_reward_model=True,
)


def test_it_asks_for_s3_keys_only_when_something_lies_on_s3(monkeypatch):
    for name in S3_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    secret = {"name": "globe-s3", "keys": list(S3_VARIABLES)}
    plan = validate(DEMO, {"secrets": [secret], "check_nodes": False})
    assert plan.notes == tuple(f"{name} is not set (key {name} of secret globe-s3)" for name in S3_KEYS)


def test_a_run_that_is_to_sign_does_not_start_without_its_key(monkeypatch):
    monkeypatch.delenv("GLOBE_SIGNING_KEY", raising=False)
    settings = {"secrets": [], "signing_secret": "ours", "check_nodes": False}
    with pytest.raises(InputError, match="GLOBE_SIGNING_KEY is not set: key GLOBE_SIGNING_KEY of secret ours is missing"):
        validate(DEMO, settings)
    monkeypatch.setenv("GLOBE_SIGNING_KEY", 64 * "a")
    assert validate(DEMO, settings).notes == ()
    monkeypatch.setenv("GLOBE_SIGNING_KEY", "short")
    with pytest.raises(InputError, match="5 characters could be guessed"):
        validate(DEMO, settings)


def test_a_laptop_is_asked_for_no_secret_and_no_node(capsys):
    plan = validate(DEMO, {})
    assert plan.notes == ()
    assert "all inputs are fine" in capsys.readouterr().err


def test_what_is_wrong_is_told_as_the_stages_own_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    wrong = Request(**vars(DEMO) | {"recipes": DEMO.recipes | {"sft": "no-such"}})
    with pytest.raises(InputError, match="no recipe 'no-such'"):
        validate(wrong, {})
    (event,) = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert event["fault"] == "input"
