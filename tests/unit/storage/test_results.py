"""A stage's folder in a mirrored store: where it lies, and which of its files are its result."""

import pytest

from globe.storage import open_store
from globe.storage.effort import Effort
from globe.storage.results import files_of, forget, publish, stage_folder_of, unsent


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", str(tmp_path / "scratch"))
    return open_store("s3://bucket/team/store")


def test_a_path_in_a_mirrored_store_belongs_to_its_stages_folder(store, tmp_path):
    for inner in ("", "checkpoint", "checkpoint/model.safetensors"):
        stage = stage_folder_of(store / "sft" / "0123" / inner)
        assert (stage.folder, str(stage.base)) == (store / "sft" / "0123", "s3://bucket/team/store/sft/0123")
        assert stage.name_of(store / "sft" / "0123" / inner) == inner
    assert [stage_folder_of(path) for path in (store, store / "promoted.json", tmp_path / "sft" / "0123")] == [None] * 3


def test_a_result_is_all_files_but_its_record_its_log_and_scratch(tmp_path):
    for name in ("a.json", "data/b.log", "result.json", "result.unsent.json", "sft.log", "scratch/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path, ["scratch"])] == ["a.json", "data/b.log"]


def test_a_store_that_is_a_folder_has_its_record_written_and_nothing_else(tmp_path):
    assert publish(tmp_path, {"stage": "sft"}, (), Effort())
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert unsent(tmp_path) is None
    forget(tmp_path)
    assert (tmp_path / "result.json").is_file()
