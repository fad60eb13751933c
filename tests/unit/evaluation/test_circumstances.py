"""What is needed to repeat an evaluation, and how long its answers took."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import globe
from globe.answer.prompt import DIRECT_PROMPT
from globe.evaluation.circumstances import dataset_facts, git_revision, manifest, timing
from globe.evaluation.recipe import EvaluationRecipe


def record(status="ok", latency_s=2.0, first_token_s=0.5, completion=16, attempts=1, **more):
    tokens = {"prompt": 300, "completion": completion}
    return {
        "status": status,
        "latency_s": latency_s,
        "first_token_s": first_token_s,
        "tokens": tokens,
        "attempts": attempts,
    } | more


def test_a_manifest_says_what_was_asked_and_leaves_out_what_is_not_known(model):
    recipe = EvaluationRecipe(temperature=0.1, frequency_penalty=0.7, reasoning=False, samples=3)
    told = manifest(model.url, "globe", "", recipe, "abc")
    assert "model_digest" not in told
    assert "server_version" not in told  # this server has no such page
    assert (told["model"], told["url_host"], told["dataset_digest"]) == ("globe", "127.0.0.1", "abc")
    assert (told["prompt"], told["prompt_sha256"]) == (DIRECT_PROMPT, hashlib.sha256(DIRECT_PROMPT.encode()).hexdigest())
    assert (told["temperature"], told["frequency_penalty"], told["samples"], told["reasoning"]) == (0.1, 0.7, 3, False)
    assert told["globe_version"] == globe.__version__
    assert told["gazetteer_version"]
    model.page = (200, "application/json", '{"version": "0.32.0"}')
    assert manifest(model.url, "globe", "d1", recipe, "abc").items() >= {"server_version": "0.32.0", "model_digest": "d1"}.items()


def test_no_key_and_no_path_of_a_url_gets_into_a_manifest(model, monkeypatch):
    monkeypatch.setenv("GLOBE_API_KEY", "sk-secret")
    told = json.dumps(manifest(model.url, "globe", "", EvaluationRecipe(), "abc"))
    assert "sk-secret" not in told
    assert "/v1" not in told


def test_times_are_those_of_the_answers():
    records = [record(latency_s=float(second), first_token_s=second / 10) for second in range(1, 101)]
    records += [record("call_failed", None, None, None, attempts=4), record("cut_off", 1.0, None, None, attempts=2)]
    told = timing(records, 50.0)
    latencies = [*range(1, 101), 1.0]
    assert told["latency_s"] == pytest.approx({"p50": np.percentile(latencies, 50), "p95": np.percentile(latencies, 95)})
    assert told["first_token_s"]["p50"] == pytest.approx(np.percentile([second / 10 for second in range(1, 101)], 50))
    assert told["token_s"]["p50"] == pytest.approx(np.percentile([second * 0.9 / 15 for second in range(1, 101)], 50), abs=1e-4)
    assert (told["wall_s"], told["images_per_s"]) == (50.0, 2.02)
    assert told["tokens"] == {"prompt": 300 * 101, "completion": 16 * 100}
    assert (told["retried"], told["failed_calls"]) == (3 + 1, 1)


def test_several_answers_to_a_picture_are_no_retries_and_tell_no_time_per_token():
    told = timing([record(attempts=4, samples=[{}, {}, {}])], 1.0)
    assert told["retried"] == 1
    assert "token_s" not in told


def test_what_no_server_told_is_left_out():
    told = timing([record(latency_s=None, first_token_s=None) | {"tokens": {"prompt": None, "completion": None}}], 0.0)
    assert told == {"wall_s": 0.0, "retried": 0, "failed_calls": 0}


@pytest.mark.parametrize(
    ("text", "told"), [(None, {}), ("{", {}), ("[" * 99_999, {}), ("[]", {}), ('{"rows": 3}', {"dataset": {"rows": 3}})]
)  # fmt: skip
def test_how_complete_a_dataset_is_comes_from_its_source(tmp_path, text, told):
    if text is not None:
        (tmp_path / "completeness.json").write_text(text)
    assert dataset_facts(tmp_path) == told


def test_the_revision_is_the_images_or_the_checkouts(monkeypatch):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    assert git_revision().removesuffix("-dirty") == head
    monkeypatch.setenv("GLOBE_REVISION", "abc")
    assert git_revision() == "abc"
    monkeypatch.setenv("GLOBE_REVISION", "unknown")
    assert git_revision() == ""
