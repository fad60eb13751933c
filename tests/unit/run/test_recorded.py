"""What somebody who can write to a store cannot do to a finished stage: each of these was believed once."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from globe import storage
from globe.errors import GlobeError
from globe.run import stage
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, load_result, run_stage
from globe.signing import KEY_VARIABLE, Unsigned

WEIGHTS = bytes(range(256)) * 8192  # 2 MiB
KEY, OTHER_KEY = "0123456789abcdef" * 4, "fedcba9876543210" * 4


def work(folder: Path, reporter: Reporter) -> Outcome:
    model = folder / "checkpoint"
    model.mkdir()  # which fails where something was left
    (model / "config.json").write_text('{"layers": 2}')
    (model / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "history.json").write_text("[1, 2]")
    return Outcome("made", {"checkpoint": str(model), "verdict": "promote"}, {"n": 1}, show=str(model))


def forbidden(folder: Path, reporter: Reporter) -> Outcome:
    raise AssertionError("work that is finished was done again")


def call(store: Path, work=work, **changes: Any) -> StageResult:
    question = {"inputs": {"data": "d1"}, "settings": {"steps": 3}, "code": ("globe.geo.normalize",)} | changes
    return run_stage("toy", store=store, work=work, **question)


def contents(folder: Path) -> dict[str, bytes]:
    """All but the record, in which the time that the work took differs."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "result.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def change(result: StageResult, edit: Callable[[dict[str, Any]], object]) -> None:
    path = result.folder / "result.json"
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


@pytest.fixture(autouse=True)
def _no_run_around(monkeypatch):
    for name in (stage.RUN_VARIABLE, stage.REDO_VARIABLE, "GLOBE_EVENTS", "GLOBE_LOGS", KEY_VARIABLE, "GLOBE_SIGNED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def undisturbed(tmp_path) -> dict[str, bytes]:
    return contents(call(tmp_path / "undisturbed").folder)


@pytest.fixture
def signing(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def overwrite(path: Path, content: bytes) -> None:
    """Other bytes of the same number, with the old file's time."""
    state = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)


def test_overwritten_weights_of_the_same_size_and_time_are_not_read(tmp_path):
    weights = call(tmp_path).folder / "checkpoint" / "model.safetensors"
    assert storage.have(weights) == storage.have(weights.parent / "model.safetensors") == weights
    overwrite(weights, b"evil")
    for place in (weights, weights.parent, weights.parent.parent):
        with pytest.raises(GlobeError, match=r"model\.safetensors: .* was changed; repeat stage toy") as error:
            storage.have(place)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("attack", ["changed", "removed", "linked", "folder linked"])
def test_a_small_file_that_was_changed_is_told_when_the_result_is_read(tmp_path, attack, undisturbed, monkeypatch):
    result, outside = call(tmp_path / "store"), tmp_path / "outside"
    config = result.folder / "checkpoint" / "config.json"
    shutil.copytree(config.parent, outside)  # the very same bytes, where somebody may change them later
    if attack == "changed":
        overwrite(config, b'{"layers": 9}')
    elif attack == "folder linked":
        shutil.rmtree(config.parent)
        config.parent.symlink_to(outside)
    else:
        config.unlink()
        if attack == "linked":
            config.symlink_to(outside / "config.json")
    for read in (lambda: call(tmp_path / "store", forbidden), lambda: load_result(result.folder)):
        with pytest.raises(GlobeError, match=r"repeat stage toy") as error:
            read()
        assert str(result.folder) in str(error.value)
        assert "\n" not in str(error.value)
    monkeypatch.setenv(stage.REDO_VARIABLE, "toy")
    monkeypatch.setenv(stage.RUN_VARIABLE, "another")
    assert contents(call(tmp_path / "store").folder) == undisturbed
    assert contents(outside) == {name: undisturbed[f"checkpoint/{name}"] for name in ("config.json", "model.safetensors")}


@pytest.mark.parametrize("path", ["/evil", "../../evil", "../evil", "other/0123456789abcdef/checkpoint", "s3://evil/model"])
@pytest.mark.parametrize("more", [{}, {"files": {}}])
def test_a_changed_path_is_not_followed(tmp_path, path, more):
    result = call(tmp_path / "store")
    change(result, lambda record: record["outcome"]["outputs"].update(checkpoint={"path": path} | more))
    for read in (lambda: call(tmp_path / "store", forbidden), lambda: load_result(result.folder)):
        with pytest.raises(GlobeError, match=r"output checkpoint leads out of the stage's folder.*repeat stage toy"):
            read()


def test_a_path_in_the_way_of_earlier_versions_does_not_climb_out(tmp_path):
    result = call(tmp_path / "store")
    text = f"/gone/toy/{result.key}/../../../evil"
    change(result, lambda record: record["outcome"]["outputs"].update(checkpoint=text))
    with pytest.raises(GlobeError, match="leads out of the stage's folder"):
        load_result(result.folder)


def test_a_link_among_the_outputs_is_not_followed(tmp_path):
    result = call(tmp_path / "store")
    (tmp_path / "evil").mkdir()
    (result.folder / "more").symlink_to(tmp_path / "evil")
    change(result, lambda record: record["outcome"]["outputs"]["checkpoint"].update(path=f"toy/{result.key}/more"))
    with pytest.raises(GlobeError, match="leads out of the stage's folder"):
        load_result(result.folder)


def test_a_text_is_not_taken_for_a_path(tmp_path):
    result = call(tmp_path / "store")
    change(result, lambda record: record["outcome"]["outputs"].update(checkpoint="evil"))
    with pytest.raises(GlobeError, match="names no file or folder as its output checkpoint"):
        load_result(result.folder).outcome.path("checkpoint")


def given(outside: Path, store: Path, work=None) -> StageResult:
    def adopt(folder: Path, reporter: Reporter) -> Outcome:
        return Outcome("given", {"data": str(outside)}, given={"data": ["manifest.json"]})

    return call(store, work or adopt, settings={"source": str(outside)})


def test_what_a_user_gave_is_followed_while_it_is_what_it_was(tmp_path):
    outside = tmp_path / "users"
    outside.mkdir()
    (outside / "manifest.json").write_text("1")
    result = given(outside, tmp_path / "store")
    assert given(outside, tmp_path / "store", forbidden).outcome.outputs == {"data": str(outside)}
    (outside / "manifest.json").write_text("2")
    with pytest.raises(GlobeError, match=r"manifest\.json: is not what stage toy was given"):
        load_result(result.folder)
    assert not given(outside, tmp_path / "store").reused
    # Somebody else's folder, with its hashes: but the settings name the user's, and with others it is no answer to this question.
    evil = tmp_path / "evil"
    shutil.copytree(outside, evil)
    for edit in (
        lambda record: record["outcome"]["outputs"]["data"].update(path=str(evil)),
        lambda record: record.update(settings={"source": str(evil)}),
    ):
        change(result, edit)
        with pytest.raises(GlobeError, match="it was changed; repeat stage toy"):
            given(outside, tmp_path / "store", forbidden)


def test_a_record_in_another_results_folder_is_refused(tmp_path):
    one, other = call(tmp_path), call(tmp_path, settings={"steps": 4})
    shutil.copy(one.folder / "result.json", other.folder / "result.json")
    with pytest.raises(GlobeError, match=f"the record of toy/{one.key}; remove the folder"):
        load_result(other.folder)


def test_a_planted_record_of_unsent_work_does_not_stand_for_work(tmp_path, undisturbed):
    result = call(tmp_path / "store")
    change(result, lambda record: record["outcome"].update(figure="evil"))
    shutil.move(result.folder / "result.json", result.folder / "result.unsent.json")
    shutil.rmtree(result.folder / "checkpoint")
    again = call(tmp_path / "store")
    assert (again.outcome.figure, again.outcome.outputs) == ("made", result.outcome.outputs)
    (again.folder / "result.unsent.json").unlink()
    assert contents(again.folder) == undisturbed


def test_a_lock_that_leads_elsewhere_empties_no_file(tmp_path):
    result, theirs = call(tmp_path / "store"), tmp_path / "theirs"
    theirs.write_text("content")
    result.folder.with_suffix(".lock").unlink()
    result.folder.with_suffix(".lock").symlink_to(theirs)
    assert call(tmp_path / "store", forbidden).reused
    assert theirs.read_text() == "content"


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record.pop("signature"),
        lambda record: record.update(signature="0" * 64),
        lambda record: record.update(run="r"),
        lambda record: record.update(seconds=0.25),
        lambda record: record["inputs"].update(data="d2"),
        lambda record: record["settings"].update(steps=4),
        lambda record: record["outcome"].update(figure="100% within 25 km"),
        lambda record: record["outcome"]["figures"].update(n=2),
        lambda record: record["outcome"]["outputs"].update(verdict="reject"),
        lambda record: record["outcome"]["show"].update(path="elsewhere"),
        lambda record: record["stored"]["files"].pop("history.json"),
        lambda record: record["stored"]["files"]["history.json"].reverse(),
        lambda record: record.pop("stored"),
        lambda record: record.update(stage="sft"),
        lambda record: record.update(more=1),
    ],
)
def test_a_record_that_this_run_did_not_sign_is_no_result(tmp_path, signing, edit, undisturbed, capsys):
    result = call(tmp_path / "store")
    assert call(tmp_path / "store", forbidden).reused
    change(result, edit)
    (result.folder / "checkpoint" / "model.safetensors").write_bytes(b"evil")
    with pytest.raises(Unsigned, match=r"result\.json: .* this run believes only what its signing key has signed"):
        load_result(result.folder)
    with pytest.raises(Unsigned):
        storage.have(result.folder / "checkpoint")
    again = call(tmp_path / "store")
    assert not again.reused
    assert "the stage is done anew" in capsys.readouterr().err
    assert contents(again.folder) == undisturbed
    assert call(tmp_path / "store", forbidden).reused


def test_a_signed_record_holds_at_its_own_place_only_and_with_its_own_key(tmp_path, signing, undisturbed, monkeypatch):
    one, other = call(tmp_path / "store"), call(tmp_path / "store", settings={"steps": 4})
    shutil.rmtree(other.folder)
    shutil.copytree(one.folder, other.folder)
    change(other, lambda record: record.update(key=other.key, settings={"steps": 4}))
    again = call(tmp_path / "store", settings={"steps": 4})
    assert (again.reused, contents(again.folder)) == (False, undisturbed)
    shutil.copytree(tmp_path / "store", tmp_path / "moved")
    assert call(tmp_path / "moved", forbidden).reused
    monkeypatch.setenv(KEY_VARIABLE, OTHER_KEY)
    assert not call(tmp_path / "moved").reused


def test_results_from_before_there_was_a_key_are_made_anew(tmp_path, monkeypatch, undisturbed):
    call(tmp_path / "store")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    again = call(tmp_path / "store")
    assert (again.reused, contents(again.folder)) == (False, undisturbed)


def test_what_lies_unsigned_in_an_unfinished_stages_folder_is_not_gone_on_from(tmp_path, signing, undisturbed):
    result = call(tmp_path / "store")
    (result.folder / "result.json").unlink()
    (result.folder / "checkpoint" / "model.safetensors").write_bytes(b"evil")
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "file").write_text("theirs")
    (result.folder / "linked").symlink_to(tmp_path / "users")
    again = call(tmp_path / "store")
    assert (again.reused, contents(again.folder)) == (False, undisturbed)
    assert (tmp_path / "users" / "file").read_text() == "theirs"


def test_a_saved_state_with_a_signature_of_its_own_stays(tmp_path, signing):
    result = call(tmp_path / "store")
    (result.folder / "result.json").unlink()
    saved = result.folder / "swift" / "checkpoint-3"
    saved.mkdir(parents=True)
    (saved / "state").write_text("3")
    (saved.parent / "planted.json").write_text("{}")

    def goes_on(folder: Path, reporter: Reporter) -> Outcome:
        return Outcome(", ".join(sorted(contents(folder))))

    assert call(tmp_path / "store", goes_on, saved=lambda folder: [saved]).outcome.figure == "swift/checkpoint-3/state"


def test_records_of_earlier_versions_still_hold_without_a_key(tmp_path):
    result = call(tmp_path)
    change(result, lambda record: record.pop("stored"))
    assert call(tmp_path, forbidden).outcome.outputs == result.outcome.outputs
    assert storage.have(result.folder / "checkpoint").is_dir()
