"""A checkpoint as an image: the same files make the same bytes, and what is in it is what the manifest says."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from model_folders import model, publish
from safetensors import serialize

from globe.errors import GlobeError, InputError
from globe.models import oci
from globe.models.checkpoints import RADIUS_FILE, open_model, read_intact
from globe.models.oci import image_of, write_layout


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    monkeypatch.setattr(oci, "LARGE_BYTES", 1000)


def checkpoint(folder, **files):
    model(folder, b"w" * 5000)
    for name, content in files.items():
        (folder / f"{name}.safetensors").write_bytes(content)
    return publish(folder)


def contents(blob):
    data = b"".join(blob.read())
    assert (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}") == (blob.size, blob.digest)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {one.name: (one, archive.extractfile(one).read() if one.isfile() else b"") for one in archive}


def test_weights_are_a_layer_each_and_the_rest_is_one(tmp_path):
    image = image_of(checkpoint(tmp_path / "m", more=b"x" * 1001))
    layers = [sorted(set(contents(blob)) - {"models"}) for blob in image.blobs[:-1]]
    assert layers == [
        ["models/config.json", "models/globe-checkpoint.json"],
        ["models/model.safetensors"],
        ["models/more.safetensors"],
    ]
    assert contents(image.blobs[1])["models/model.safetensors"][1] == b"w" * 5000


def test_the_same_files_make_the_same_image_wherever_and_whenever(tmp_path):
    first = image_of(checkpoint(tmp_path / "a"))
    again = checkpoint(tmp_path / "elsewhere" / "b")
    for path in (tmp_path / "elsewhere" / "b").iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert image_of(again).digest == first.digest
    member, _ = contents(first.blobs[0])["models/config.json"]
    assert (member.mtime, member.uid, member.mode, member.uname) == (0, 0, 0o644, "")


def test_the_configuration_and_the_manifest_name_the_layers_as_the_specification_says(tmp_path):
    made = checkpoint(tmp_path / "m")
    image = image_of(made, "arm64")
    manifest = json.loads(image.manifest)
    *layers, configured = image.blobs
    assert manifest["schemaVersion"] == 2
    assert [layer["digest"] for layer in manifest["layers"]] == [layer.digest for layer in layers]
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar"}
    assert manifest["config"]["digest"] == configured.digest
    config = json.loads(b"".join(configured.read()))
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer.digest for layer in layers]}  # plain tars: the same digests
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    assert manifest["annotations"]["dev.globe.checkpoint"] == made.digest
    assert image.digest == f"sha256:{hashlib.sha256(image.manifest).hexdigest()}"


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path):
    made = checkpoint(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"v" * 5000)
    with pytest.raises(GlobeError, match=r"model\.safetensors: its sha256 is not the one in the checkpoint's manifest"):
        image_of(made)


def test_a_layout_unpacked_is_the_checkpoint(tmp_path):
    made = checkpoint(tmp_path / "m")
    image = image_of(made)
    write_layout(image, tmp_path / "layout", "1")
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"].removeprefix("sha256:")) as archive:
            archive.extractall(tmp_path / "root", filter="data")
    unpacked = read_intact(tmp_path / "root" / "models")
    assert (unpacked.digest, unpacked.step, unpacked.parent) == (made.digest, made.step, made.parent)
    with pytest.raises(InputError, match="is not empty"):
        write_layout(image, tmp_path / "layout")


def test_any_models_folder_can_be_published_if_its_weights_have_their_full_length(tmp_path):
    image = image_of(open_model(model(tmp_path / "m", serialize({}))))
    assert set(contents(image.blobs[0])) == {"models", "models/config.json", "models/model.safetensors"}
    assert "annotations" not in json.loads(image.manifest)


def test_an_archive_is_whole_records_as_tar_writes_them(tmp_path):
    image = image_of(checkpoint(tmp_path / "m"))
    assert all(blob.size % tarfile.RECORDSIZE == 0 for blob in image.blobs[:-1])


def test_a_file_that_changes_while_a_layout_is_written_is_told(tmp_path):
    image = image_of(checkpoint(tmp_path / "m"))
    (tmp_path / "m" / "model.safetensors").write_bytes(b"v" * 5000)
    with pytest.raises(GlobeError, match="has changed while it was written"):
        write_layout(image, tmp_path / "out")
    assert not (tmp_path / "out" / "oci-layout").exists()


def test_a_radius_goes_along_wherever_the_manifest_is(tmp_path):
    here = publish(model(tmp_path / "here", b"w" * 5000))
    (tmp_path / "stage").mkdir()
    apart = publish(model(tmp_path / "apart", b"w" * 5000), manifest_folder=tmp_path / "stage")
    for checkpoint in (here, apart):
        (Path(checkpoint.manifest).parent / RADIUS_FILE).write_text("{}")
        assert contents(image_of(checkpoint).blobs[0])[f"models/{RADIUS_FILE}"][1] == b"{}"
    assert image_of(here).digest == image_of(apart).digest
