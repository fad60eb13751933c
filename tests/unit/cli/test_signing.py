"""`globe sign`: a person vouches for what a store names as promoted."""

import json
from pathlib import Path

import pytest
from command_line import globe, refused

from globe.evaluation.promote import promote, read_promoted
from globe.models.checkpoints import Checkpoint
from globe.run.stage import Outcome, run_stage
from globe.signing import KEY_VARIABLE

POLICY = Checkpoint("/m", "/m", "tiny", "demo", "", 7)


@pytest.fixture
def store(tmp_path) -> Path:
    inputs = {"test": "t", "policy": POLICY.digest}
    made = run_stage("evaluation", store=tmp_path, inputs=inputs, settings={}, code=(), work=lambda folder, r: Outcome("done"))
    promote(policy=POLICY, evaluation=made, store=tmp_path)
    return tmp_path


def test_a_signed_promotion_is_believed_and_says_which_model_it_is(store, monkeypatch):
    refused(globe("sign", str(store)), f"{KEY_VARIABLE} is not set")
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    done = globe("sign", str(store), "--json")
    assert (done.returncode, json.loads(done.stdout)["digest"]) == (0, POLICY.digest)
    assert read_promoted(store).digest == POLICY.digest
    assert POLICY.digest[:12] in globe("sign", str(store)).stdout


def test_a_store_without_a_promotion_is_bad_input(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    refused(globe("sign", str(tmp_path)), "nothing has been promoted in this store")
