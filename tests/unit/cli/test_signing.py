"""`globe sign`: a person vouches for what a store names as promoted."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import globe, refused

from globe.errors import GlobeError
from globe.evaluation.promote import promote, read_promoted
from globe.models.base_model import base_model
from globe.models.checkpoints import RADIUS_FILE, TINY, Checkpoint, read_checkpoint
from globe.models.given import given
from globe.run.stage import Outcome, StageResult, load_result, run_stage
from globe.signing import KEY_VARIABLE, Unsigned

POLICY = Checkpoint("/m", "/m", "tiny", "demo", "", 7)


def change(result: StageResult, edit: Callable[[dict[str, Any]], object]) -> None:
    path = result.folder / "result.json"
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


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


def test_an_old_stores_promoted_model_can_be_asked_and_given_once_it_is_signed(tmp_path, monkeypatch):
    """The run after that makes nothing anew whose weights or answers the promotion rests on."""
    model = base_model(model=TINY, seed=0, store=tmp_path)
    checkpoint = read_checkpoint(Path(model.outcome.outputs["checkpoint"]))
    inputs = {"test": "t", "policy": checkpoint.digest}
    made = run_stage("evaluation", store=tmp_path, inputs=inputs, settings={}, code=(), work=lambda folder, r: Outcome("done"))
    change(model, lambda record: record.pop("stored"))
    promote(policy=checkpoint, evaluation=made, store=tmp_path)
    (Path(checkpoint.uri) / RADIUS_FILE).write_text("{}")
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    assert globe("sign", str(tmp_path)).returncode == 0
    (Path(checkpoint.uri) / RADIUS_FILE).write_text("{ }")  # it may be replaced
    promoted = read_promoted(tmp_path)
    assert (promoted.evaluation.key, promoted.checkpoint().digest) == (made.key, checkpoint.digest)
    assert given(stage="model", model=promoted.address, store=tmp_path).outcome.figure.startswith("given")
    assert base_model(model=TINY, seed=0, store=tmp_path).reused
    (Path(checkpoint.uri) / "model.safetensors").write_bytes(b"evil")
    with pytest.raises(GlobeError):
        read_promoted(tmp_path).checkpoint()


def test_other_weights_than_the_promoted_are_not_signed(tmp_path, monkeypatch):
    model = base_model(model=TINY, seed=0, store=tmp_path)
    checkpoint = read_checkpoint(Path(model.outcome.outputs["checkpoint"]))
    made = run_stage("evaluation", store=tmp_path, inputs={}, settings={}, code=(), work=lambda folder, r: Outcome("done"))
    change(made, lambda record: record.pop("inputs"))  # it says nothing of whose it is
    promote(policy=replace(checkpoint, files={}), evaluation=made, store=tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    done = globe("sign", str(tmp_path))
    assert (done.returncode, "not the model that was promoted" in done.stderr) == (1, True)
    assert "signature" not in (model.folder / "result.json").read_text() + (tmp_path / "promoted.json").read_text()


def test_one_result_is_signed_as_it_is_and_not_if_it_was_changed(store, monkeypatch):
    (folder,) = (path.parent for path in store.glob("evaluation/*/result.json"))
    refused(globe("sign", str(folder)), f"{KEY_VARIABLE} is not set")
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    with pytest.raises(Unsigned, match=f"globe sign STORE/evaluation/{folder.name}"):
        load_result(folder)
    assert globe("sign", f"{folder}/").stdout.strip() == f"signed  {folder}/"
    assert load_result(folder).key == folder.name
    made = base_model(model=TINY, seed=1, store=store)
    (made.folder / "checkpoint" / "config.json").write_text("{}")
    assert "it was changed" in globe("sign", str(made.folder)).stderr
