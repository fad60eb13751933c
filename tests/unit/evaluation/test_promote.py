"""What a new model is compared with, and what becomes of it."""

import json
import shutil

import pytest

from globe.errors import GlobeError, InputError
from globe.evaluation.promote import find_baseline, promote, reject
from globe.models.checkpoints import Checkpoint
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage

MODEL = Checkpoint("/store/model", "/store/model/globe-checkpoint.json", "tiny", "demo", "", 7)


def evaluation(store) -> StageResult:
    def work(folder, reporter: Reporter) -> Outcome:
        return Outcome("done", {"folder": str(folder)})

    return run_stage("evaluation", store=store, inputs={}, settings={}, code=(), work=work)


def test_the_promoted_models_evaluation_is_the_baseline_of_the_next(tmp_path):
    first = evaluation(tmp_path)
    promote(policy=MODEL, evaluation=first, store=tmp_path)
    assert find_baseline("promoted", tmp_path).key == first.key


def test_before_anything_was_promoted_there_is_no_baseline(tmp_path):
    assert find_baseline("promoted", tmp_path) is None
    assert find_baseline("", tmp_path) is None


def test_a_folder_of_an_evaluation_can_be_named(tmp_path):
    first = evaluation(tmp_path)
    assert find_baseline(str(first.folder), tmp_path).key == first.key
    with pytest.raises(InputError, match="no finished evaluation"):
        find_baseline(str(tmp_path / "none"), tmp_path)


def test_a_rejected_model_fails_the_run_with_the_reasons():
    with pytest.raises(GlobeError, match="the gate rejected the policy: too few answers"):
        reject("too few answers")


def test_what_a_moved_store_has_promoted_is_found_in_it(tmp_path):
    store = tmp_path / "old"
    policy = Checkpoint(str(store / "grpo" / "k" / "checkpoint"), str(store / "grpo" / "k"), "tiny", "demo", "", 7)
    first = evaluation(store)
    promote(policy=policy, evaluation=first, store=store)
    promoted = json.loads((store / "promoted.json").read_text())
    assert promoted["uri"] == promoted["stored_at"] == "grpo/k/checkpoint"
    shutil.copytree(store, tmp_path / "new")
    assert find_baseline("promoted", tmp_path / "new").folder == tmp_path / "new" / "evaluation" / first.key


def test_a_promotion_of_an_earlier_version_does_not_lead_to_another_store(tmp_path):
    first = evaluation(tmp_path / "old")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "promoted.json").write_text(json.dumps({"evaluation": str(first.folder)}))
    with pytest.raises(InputError, match=f"baseline: {tmp_path}/new/evaluation/{first.key}"):
        find_baseline("promoted", tmp_path / "new")
    shutil.copytree(tmp_path / "old" / "evaluation", tmp_path / "new" / "evaluation")
    assert find_baseline("promoted", tmp_path / "new").folder == tmp_path / "new" / "evaluation" / first.key
