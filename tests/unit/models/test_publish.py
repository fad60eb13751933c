"""A model's folder becomes a checkpoint by its manifest, which names no place that a move would change."""

import pytest
from model_folders import model, publish

from globe.errors import InputError
from globe.files import file_sha256
from globe.models.checkpoints import MANIFEST_FILE, read_checkpoint
from globe.run.artifacts import copy_manifest


def test_every_file_of_the_folder_is_in_the_manifest_but_the_manifest_itself(tmp_path):
    folder = model(tmp_path / "m")
    first = publish(folder)
    assert first.files == {name: file_sha256(folder / name) for name in ("config.json", "model.safetensors")}
    assert publish(folder) == first


def test_a_users_own_folder_gets_no_manifest(tmp_path):
    folder, elsewhere = model(tmp_path / "m"), tmp_path / "stage"
    elsewhere.mkdir()
    published = publish(folder, manifest_folder=elsewhere)
    assert not (folder / MANIFEST_FILE).exists()
    assert read_checkpoint(elsewhere).path == folder == published.path


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_refused(tmp_path, missing):
    folder = model(tmp_path / "m")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=r"config\.json|no weights"):
        publish(folder)


def test_a_manifest_names_no_place_that_a_move_would_change(tmp_path):
    publish(model(tmp_path / "m"))
    assert str(tmp_path) not in (tmp_path / "m" / MANIFEST_FILE).read_text()
    (tmp_path / "m").rename(tmp_path / "n")
    assert read_checkpoint(tmp_path / "n").path == tmp_path / "n"


def test_a_manifest_that_travels_alone_leads_to_the_model(tmp_path):
    published = publish(model(tmp_path / "m"))
    copy_manifest(published.manifest, str(tmp_path / "artifacts" / "checkpoint"))
    assert read_checkpoint(tmp_path / "artifacts" / "checkpoint") == published
