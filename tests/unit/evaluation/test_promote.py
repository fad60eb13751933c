"""What a new model is compared with, and what becomes of it."""

import json
import shutil
from dataclasses import replace

import pytest

from globe.errors import GlobeError, InputError
from globe.evaluation.promote import accept, asked_otherwise, find_baseline, promote, read_promoted, reject, require_fit
from globe.files import file_sha256
from globe.models.checkpoints import Checkpoint, read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.signing import KEY_VARIABLE

MODEL = Checkpoint("/store/model", "/store/model/globe-checkpoint.json", "tiny", "demo", "", 7)


def evaluation(store, **inputs: str) -> StageResult:
    def work(folder, reporter: Reporter) -> Outcome:
        return Outcome("done", {"folder": str(folder)}, {"policy": {"n": 3}})

    return run_stage("evaluation", store=store, inputs=inputs, settings={}, code=(), work=work)


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


def test_a_result_that_is_no_evaluation_is_no_baseline(tmp_path):
    """It has no figures of a model, so the gate would have compared with nothing."""
    made = run_stage("source", store=tmp_path, inputs={}, settings={}, code=(), work=lambda f, r: Outcome("2 pictures"))
    with pytest.raises(InputError, match=r"a result of stage source, which evaluates nothing; give STORE/evaluation/KEY"):
        find_baseline(str(made.folder), tmp_path)


def test_what_was_asked_otherwise_is_told_as_far_as_it_is_known():
    ours = {"temperature": 0.0, "max_tokens": 512, "prompt": "a"}
    assert asked_otherwise(ours | {"prompt": "b"}, ours) == asked_otherwise({}, ours) == ""
    assert asked_otherwise({"temperature": 0.7, "max_tokens": 8}, ours) == "temperature 0.7 against 0.0, max_tokens 8 against 512"


def test_a_model_is_promoted_only_over_the_one_that_the_gate_compared_it_with(tmp_path):
    first = evaluation(tmp_path)
    for name in "bc":
        (tmp_path / name).write_text(name)
    other, third = (replace(MODEL, uri=str(tmp_path), files={name: file_sha256(tmp_path / name)}) for name in "bc")
    promote(policy=MODEL, evaluation=first, store=tmp_path, instead_of="")
    with pytest.raises(GlobeError, match=f"sha256 {MODEL.digest[:12]} is promoted now, but the gate compared with none"):
        promote(policy=other, evaluation=first, store=tmp_path, instead_of="")
    promote(policy=other, evaluation=first, store=tmp_path, instead_of=MODEL.digest)
    promote(policy=other, evaluation=first, store=tmp_path, instead_of=MODEL.digest)  # a task that is repeated
    with pytest.raises(GlobeError, match="run again"):
        promote(policy=third, evaluation=first, store=tmp_path, instead_of=MODEL.digest)
    assert read_promoted(tmp_path).digest == other.digest
    promote(policy=third, evaluation=first, store=tmp_path)
    assert read_promoted(tmp_path).digest == third.digest


def test_what_is_promoted_is_read_back_and_damage_is_told(tmp_path):
    first = evaluation(tmp_path, test="t", policy=MODEL.digest)
    promote(policy=MODEL, evaluation=first, store=tmp_path)
    found = read_promoted(tmp_path)
    assert (found.digest, found.uri, found.manifest) == (MODEL.digest, MODEL.uri, MODEL.manifest)
    assert found.evaluation.inputs == {"test": "t", "policy": MODEL.digest}
    with pytest.raises(InputError, match=r"globe-checkpoint\.json"):
        found.checkpoint()
    shutil.rmtree(first.folder)
    assert read_promoted(tmp_path).evaluation is None
    with pytest.raises(InputError, match="no finished evaluation"):
        find_baseline("promoted", tmp_path)
    for damaged in ("{", "[" * 99_999, "[]", "{}", '{"evaluation": 3}'):
        (tmp_path / "promoted.json").write_text(damaged)
        with pytest.raises(InputError, match=r"promoted\.json: damaged"):
            read_promoted(tmp_path)


def test_a_dataset_that_is_not_the_baselines_is_refused_before_anything_is_asked(tmp_path):
    baseline = evaluation(tmp_path, test="0123456789abcdef")
    require_fit(None, "f", 5)
    require_fit(baseline, "0123456789abcdef", 3)
    require_fit(replace(baseline, inputs={}), "f", 5)  # an earlier version's, which does not say
    with pytest.raises(InputError, match=r"dataset: its 5 pictures .* not those of the baseline .*\(n 3, digest 0123456789ab\)"):
        require_fit(baseline, "f" * 64, 5)


def test_a_run_that_promotes_nothing_says_so(capsys):
    accept(reasons="n 200", verdict="promote")
    assert "accepted (promote), nothing is promoted: n 200" in capsys.readouterr().err


def test_a_rejected_model_fails_the_run_with_the_reasons():
    with pytest.raises(GlobeError, match="the gate rejected the policy: too few answers"):
        reject("too few answers")
    with pytest.raises(GlobeError, match=r"the gate could not decide, .*: too few pictures"):
        reject("too few pictures", "inconclusive")


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


def edited(store, **values: str) -> None:
    promoted = json.loads((store / "promoted.json").read_text())
    (store / "promoted.json").write_text(json.dumps(promoted | values))


def test_a_promotion_that_does_not_fit_its_evaluation_is_refused(tmp_path):
    """A replaced promoted.json made the gate compare with whatever it named, or with nothing."""
    mine, weak = (evaluation(tmp_path, test="t", policy=digest) for digest in (MODEL.digest, "f" * 64))
    other = run_stage("source", store=tmp_path, inputs={}, settings={}, code=(), work=lambda f, r: Outcome(""))
    promote(policy=MODEL, evaluation=mine, store=tmp_path)
    for values in (
        {"digest": "e" * 64},
        {"evaluation": f"evaluation/{weak.key}"},
        {"evaluation": f"source/{other.key}"},
    ):
        edited(tmp_path, **({"digest": MODEL.digest, "evaluation": f"evaluation/{mine.key}"} | values))
        with pytest.raises(InputError, match=r"promoted\.json: names model .* no evaluation of it.*promote that model again"):
            read_promoted(tmp_path)


def test_an_evaluation_of_another_model_promotes_nothing(tmp_path):
    with pytest.raises(InputError, match="which is no evaluation of it"):
        promote(policy=MODEL, evaluation=evaluation(tmp_path, test="t", policy="f" * 64), store=tmp_path)
    assert read_promoted(tmp_path) is None


def test_overwritten_weights_are_not_promoted(tmp_path):
    def work(folder, reporter: Reporter) -> Outcome:
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
        publish_checkpoint(folder, base_model="b", recipe="r", parent="", step=7)
        return Outcome("made", {"checkpoint": str(folder)})

    made = run_stage("grpo", store=tmp_path, inputs={}, settings={}, code=(), work=work)
    policy = read_checkpoint(made.outcome.path("checkpoint"))
    first = evaluation(tmp_path, test="t", policy=policy.digest)
    (made.folder / "model.safetensors").write_bytes(b"wEights")
    with pytest.raises(GlobeError, match=r"model\.safetensors: .*repeat stage grpo"):
        promote(policy=policy, evaluation=first, store=tmp_path)
    assert read_promoted(tmp_path) is None


def test_with_a_key_only_a_signed_promotion_counts(tmp_path, monkeypatch):
    first = evaluation(tmp_path, test="t", policy=MODEL.digest)
    promote(policy=MODEL, evaluation=first, store=tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    with pytest.raises(InputError, match=rf"promoted\.json: is not signed.*: globe sign {tmp_path} \(else remove"):
        read_promoted(tmp_path)
    (tmp_path / "promoted.json").unlink()
    first = evaluation(tmp_path, test="t", policy=MODEL.digest)
    promote(policy=MODEL, evaluation=first, store=tmp_path)
    assert read_promoted(tmp_path).evaluation == replace(first, reused=True)
    for name in ("digest", "uri", "manifest", "evaluation", "stored_at"):
        before = (tmp_path / "promoted.json").read_text()
        edited(tmp_path, **{name: "x/y"})
        with pytest.raises(InputError, match="was changed, or signed with another key"):
            read_promoted(tmp_path)
        with pytest.raises(InputError, match="was changed"):
            promote(policy=MODEL, evaluation=first, store=tmp_path)
        (tmp_path / "promoted.json").write_text(before)
    (first.folder / "result.json").write_text((first.folder / "result.json").read_text().replace('"n": 3', '"n": 4'))
    assert read_promoted(tmp_path).evaluation is None  # so the gate finds nothing to compare with, and lets nothing pass
