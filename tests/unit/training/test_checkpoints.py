"""A checkpoint exists when its manifest does, and its digest says what it is."""

import pytest

from globe.errors import InputError
from globe.training.checkpoints import MANIFEST_FILE, publish_checkpoint, read_checkpoint


def model(folder, weights: bytes = b"weights"):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def publish(folder, **changes):
    return publish_checkpoint(folder, **({"base_model": "b", "recipe": "r", "parent": "p", "step": 3} | changes))


def test_a_published_checkpoint_is_read_back_from_its_folder_and_from_its_manifest(tmp_path):
    published = publish(model(tmp_path / "m"))
    assert read_checkpoint(tmp_path / "m") == published
    assert read_checkpoint(tmp_path / "m" / MANIFEST_FILE) == published


def test_the_digest_tells_weights_apart_and_not_places(tmp_path):
    same = [publish(model(tmp_path / name)).digest for name in ("a", "b")]
    other = publish(model(tmp_path / "c", b"other")).digest
    assert same[0] == same[1] != other


def test_a_users_own_folder_gets_no_manifest(tmp_path):
    folder, elsewhere = model(tmp_path / "m"), tmp_path / "stage"
    elsewhere.mkdir()
    published = publish(folder, manifest_folder=elsewhere)
    assert not (folder / MANIFEST_FILE).exists()
    assert read_checkpoint(elsewhere).path == folder == published.path


def test_a_folder_without_a_manifest_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="no finished checkpoint"):
        read_checkpoint(model(tmp_path / "m"))


def test_a_file_that_has_gone_since_is_named(tmp_path):
    publish(model(tmp_path / "m"))
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors"):
        read_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_refused(tmp_path, missing):
    folder = model(tmp_path / "m")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=r"config\.json|no weights"):
        publish(folder)
