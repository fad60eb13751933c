import json
import shutil
from pathlib import Path

import pytest

from globe.errors import GlobeError
from globe.models.checkpoints import MANIFEST_FILE
from globe.models.publish import publish_checkpoint
from globe.run import artifacts
from globe.run.stage import Outcome, StageResult, run_stage
from globe.signing import KEY_VARIABLE, Unsigned


@pytest.fixture
def result(tmp_path) -> StageResult:
    """A finished stage with a dataset's folder and a checkpoint among its outputs."""

    def work(folder: Path, reporter: object) -> Outcome:
        (folder / "data" / "test").mkdir(parents=True)
        (folder / "checkpoint").mkdir()
        (folder / "checkpoint" / "config.json").write_text("{}", encoding="utf-8")
        (folder / "checkpoint" / "model.safetensors").write_bytes(b"weights")
        publish_checkpoint(folder / "checkpoint", base_model="b", recipe="r", parent="", step=7)
        return Outcome("made", {"data": str(folder / "data"), "checkpoint": str(folder / "checkpoint")})

    return run_stage("sft", store=tmp_path / "store", inputs={}, settings={}, code=(), work=work)


def test_a_reference_leads_to_the_finished_stage_and_its_outputs(result, tmp_path):
    path = str(tmp_path / "artifacts" / "data")
    artifacts.write_reference(path, result)
    found = artifacts.read_result(path)
    assert (found.name, found.key, found.folder, found.reused) == (result.name, result.key, result.folder, True)
    assert artifacts.data_folder(path) == result.folder / "data"
    assert artifacts.test_set(path) == result.folder / "data" / "test"
    assert artifacts.output_of(path, "checkpoint") == result.folder / "checkpoint"


def test_several_references_come_back_in_their_lists_and_their_order(result, tmp_path):
    other = run_stage("grpo", store=tmp_path / "store", inputs={}, settings={}, code=(), work=lambda *_: Outcome("also made"))
    path = str(tmp_path / "artifacts" / "parts")
    artifacts.write_references(path, [[other, result], [result]])
    assert [[one.key for one in each] for each in artifacts.read_references(path)] == [[other.key, result.key], [result.key]]
    shutil.rmtree(other.folder)
    with pytest.raises(GlobeError, match="the result of stage grpo is gone; run that stage again"):
        artifacts.read_references(path)


def test_values_are_signed_as_references_are(tmp_path, monkeypatch):
    path = str(tmp_path / "artifacts" / "values")
    artifacts.write_values(path, {"rows": 3, "source": "digest"})
    assert artifacts.read_values(path) == {"rows": 3, "source": "digest"}
    monkeypatch.setenv(KEY_VARIABLE, "0" * 64)
    with pytest.raises(Unsigned):
        artifacts.read_values(path)
    artifacts.write_values(path, {"rows": 4})
    assert artifacts.read_values(path) == {"rows": 4}


def test_a_checkpoint_is_the_same_as_an_artifact_and_after_a_join(result, tmp_path):
    made, joined = str(tmp_path / "made"), str(tmp_path / "joined")
    artifacts.write_checkpoint(made, result)
    artifacts.copy_manifest(str(artifacts.manifest_of(result)), joined)
    assert artifacts.checkpoint(made) == artifacts.checkpoint(joined)
    assert artifacts.checkpoint(made).step == 7
    assert Path(artifacts.checkpoint(made).uri) == result.folder / "checkpoint"
    assert artifacts.manifest_of(result) == result.folder / "checkpoint" / MANIFEST_FILE


def test_a_stage_that_was_switched_off_hands_on_nothing(tmp_path):
    path = str(tmp_path / "off" / "checkpoint")
    artifacts.copy_manifest("", path)
    assert artifacts.optional_checkpoint(path) is None


@pytest.mark.parametrize("content", [None, "", "{", "["])
def test_an_artifact_that_the_stage_before_did_not_write_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "reference"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(GlobeError, match=f"{path}: the previous stage wrote no usable artifact"):
        artifacts.read_result(str(path))


def test_a_result_that_was_removed_since_is_an_error_that_says_which_stage_to_repeat(result, tmp_path):
    path = str(tmp_path / "reference")
    artifacts.write_reference(path, result)
    shutil.rmtree(result.folder)
    with pytest.raises(GlobeError, match=r"the result of stage sft is gone; run that stage again"):
        artifacts.read_result(path)


def test_only_finite_numbers_become_metrics():
    """A backend fails a finished stage that logs None or NaN."""
    figures = {"rows": 12, "loss": 0.5, "none": None, "nan": float("nan"), "endless": float("-inf"), "text": "3", "by": {"a": 1}}
    figures["huge"] = 10**400
    assert artifacts.finite(figures) == {"rows": 12.0, "loss": 0.5}
    assert artifacts.finite(figures, ("loss", "none", "absent")) == {"loss": 0.5}


def test_where_a_run_signs_an_artifact_that_was_changed_on_its_way_leads_nowhere(tmp_path, monkeypatch, request):
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    made: StageResult = request.getfixturevalue("result")
    reference, manifest = tmp_path / "reference", tmp_path / "manifest"
    artifacts.write_reference(str(reference), made)
    artifacts.write_checkpoint(str(manifest), made)
    artifacts.write_nothing(str(tmp_path / "nothing"))
    assert artifacts.read_result(str(reference)).folder == made.folder
    assert artifacts.checkpoint(str(manifest)).path == made.folder / "checkpoint"
    assert artifacts.optional_checkpoint(str(tmp_path / "nothing")) is None
    for path, read, edit in (
        (reference, artifacts.read_result, {"folder": "/evil"}),
        (manifest, artifacts.checkpoint, {"uri": "/evil", "files": {}}),
        (manifest, artifacts.optional_checkpoint, {"signature": ""}),
    ):
        path.write_text(json.dumps(json.loads(path.read_text()) | edit))
        with pytest.raises(Unsigned, match=str(path)):
            read(str(path))


def test_an_artifact_does_not_pass_off_other_files_as_a_finished_stages(result, tmp_path):
    path = tmp_path / "manifest"
    artifacts.write_checkpoint(str(path), result)
    content = json.loads(path.read_text())
    (result.folder / "checkpoint" / "model.safetensors").write_bytes(b"wEights")
    content["files"].pop("model.safetensors")
    path.write_text(json.dumps(content))
    with pytest.raises(GlobeError, match=r"model\.safetensors: .*repeat stage sft"):
        _ = artifacts.checkpoint(str(path)).path
