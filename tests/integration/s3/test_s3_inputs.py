"""Inputs that a user names on S3: a model, photos, a table, a dataset, a checkpoint from elsewhere."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from globe import storage
from globe.data.named import TABLE_SUFFIXES, fetch_source, resolve
from globe.data.rows import Row
from globe.data.shards import MANIFEST_NAME, dataset_digest, fetch_dataset, is_dataset, read_dataset, write_dataset
from globe.data.sources import read_source
from globe.errors import GlobeError, InputError
from globe.models.checkpoints import read_checkpoint, read_intact
from globe.models.given import given
from globe.models.publish import publish_checkpoint
from globe.models.safety import check_model_place
from globe.run import artifacts
from globe.run.preflight import Request, check_places
from globe.run.stage import Outcome, load_result, run_stage

from .tools import until

WEIGHTS = bytes(range(256)) * 4096  # 1 MiB


def put_folder(bucket, folder: Path, prefix: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.write(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return bucket.uri(prefix)


@pytest.fixture
def model_uri(bucket):
    bucket.write("models/m/config.json", "{}")
    bucket.write("models/m/model.safetensors", WEIGHTS)
    bucket.write("models/m/", b"")  # a bucket browser's "folder"
    bucket.write("models/m2/config.json", "another model whose name begins alike")
    return bucket.uri("models/m")


@pytest.fixture
def real_model_uri(bucket, tiny_model):
    return put_folder(bucket, tiny_model, "models/real")


@pytest.fixture
def store(bucket):
    return lambda: storage.open_store(bucket.uri("store"))


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("modeling_x.py", "", r"/modeling_x\.py: is code"),
        ("custom_generate/generate.py", "", r"/custom_generate/generate\.py: is code"),
        ("pytorch_model.bin", "", r"/pytorch_model\.bin: may be weights in another format"),
        (
            "tokenizer_config.json",
            '{"a": {"auto_map": {"AutoTokenizer": ["x.T", null]}}}',
            r"/tokenizer_config\.json: names code",
        ),
    ],
)
def test_a_model_that_would_run_code_is_refused_before_its_weights_are_fetched(bucket, line, model_uri, name, content, error):
    check_places(Request({}, base_model=model_uri, start_from={"sft": model_uri}))
    bucket.write(f"models/m/{name}", content)
    for asked, parameter in (({"base_model": model_uri}, "base_model"), ({"start_from": {"sft": model_uri}}, "start_from sft")):
        with pytest.raises(InputError, match=rf"^{parameter}: {model_uri}{error}"):
            check_places(Request({}, **asked))
    assert line.down_bytes < len(WEIGHTS) // 4


def test_a_mirror_is_checked_as_what_it_mirrors(bucket, model_uri):
    folder = storage.fetch(model_uri)
    bucket.write("models/m/x.py", "")
    with pytest.raises(InputError, match=r"/x\.py: is code"):
        check_model_place(folder)


def test_what_is_no_s3_address_is_handed_back_as_it_is():
    assert [storage.fetch(text) for text in ("tiny", "/models/m", "photos/x.csv")] == ["tiny", "/models/m", "photos/x.csv"]


def test_a_model_is_fetched_whole_and_nothing_beside_it(bucket, model_uri):
    folder = Path(storage.fetch(model_uri + "/"))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not (folder.parent / "m2").exists()


def test_what_is_there_already_is_not_fetched_again_and_what_changed_is(bucket, model_uri, line):
    folder = Path(storage.fetch(model_uri))
    line.down_bytes = 0
    storage.fetch(model_uri)
    assert line.down_bytes < 20_000
    bucket.write("models/m/model.safetensors", WEIGHTS[::-1])  # as long as before
    bucket.client.delete_object(Bucket=bucket.name, Key="models/m/config.json")
    bucket.write("models/m/tokenizer.json", "[]")
    storage.fetch(model_uri)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS[::-1]
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "tokenizer.json"]


def test_a_given_model_has_the_same_address_on_every_machine(real_model_uri, store, another_machine):
    first = given(stage="base_model", model=storage.fetch(real_model_uri), store=store())
    another_machine()
    second = given(stage="base_model", model=storage.fetch(real_model_uri), store=store())
    assert second.reused
    assert second.key == first.key


def test_a_given_model_is_pulled_where_its_weights_are_read_and_checked(
    bucket, real_model_uri, store, another_machine, tmp_path, tiny_model
):
    artifact, weights = str(tmp_path / "artifact.json"), (tiny_model / "model.safetensors").read_bytes()
    artifacts.write_checkpoint(artifact, given(stage="base_model", model=storage.fetch(real_model_uri), store=store()))
    another_machine()
    checkpoint = artifacts.checkpoint(artifact)
    assert not Path(checkpoint.uri).exists()
    assert (checkpoint.path / "model.safetensors").read_bytes() == weights
    another_machine()
    bucket.write("models/real/model.safetensors", weights[::-1])
    with pytest.raises(GlobeError, match=r"models/real/model\.safetensors.*bytes are not those"):
        _ = checkpoint.path
    bucket.client.delete_object(Bucket=bucket.name, Key="models/real/model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors is in the manifest but not there"):
        _ = checkpoint.path


def laptop_checkpoint(tmp_path) -> Path:
    folder = tmp_path / "laptop" / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    publish_checkpoint(folder, base_model="b", recipe="r", parent="p", step=7)
    return folder


def test_a_checkpoint_copied_to_s3_keeps_what_its_manifest_says_of_it(bucket, store, tmp_path, another_machine):
    folder = laptop_checkpoint(tmp_path)
    digest = read_checkpoint(folder).digest
    uri = put_folder(bucket, folder, "ours/checkpoint")
    folder.rename(tmp_path / "gone")
    artifact = str(tmp_path / "artifact.json")
    artifacts.write_checkpoint(artifact, given(stage="sft", model=storage.fetch(uri), store=store()))
    another_machine()
    checkpoint = artifacts.checkpoint(artifact)
    assert (checkpoint.digest, checkpoint.step, checkpoint.recipe) == (digest, 7, "r")
    assert (checkpoint.path / "model.safetensors").read_bytes() == WEIGHTS


def test_a_checkpoint_that_is_not_what_its_manifest_says_is_refused(bucket, tmp_path):
    uri = put_folder(bucket, laptop_checkpoint(tmp_path), "ours/checkpoint")
    bucket.write("ours/checkpoint/model.safetensors", WEIGHTS[::-1])
    with pytest.raises(GlobeError, match="sha256"):
        read_intact(Path(storage.fetch(uri)))
    bucket.client.delete_object(Bucket=bucket.name, Key="ours/checkpoint/model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors is in the manifest but not there"):
        read_intact(Path(storage.fetch(uri)))
    bucket.write("ours/checkpoint/globe-checkpoint.json", b"\xff")
    with pytest.raises(InputError, match="is no checkpoint's manifest"):
        read_intact(Path(storage.fetch(uri)))


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("suffix", sorted({*TABLE_SUFFIXES - {".parquet"}, ".CSV", ".Tsv"}))
def test_a_table_of_any_suffix_that_is_read_brings_the_pictures_beside_it_and_nothing_else(bucket, suffix):
    bucket.write(f"photos/table{suffix}", "image,lat,lon\na.jpg,48.9,2.3\nB.JPEG,45.8,4.8\n")
    bucket.write("photos/a.jpg", picture("green"))
    bucket.write("photos/images/B.JPEG", picture("blue"))
    bucket.write("photos/huge.tar", b"not asked for")
    table = Path(fetch_source(bucket.uri(f"photos/table{suffix}")))
    here = {path.name for path in table.parent.rglob("*") if path.is_file()}
    assert here == {"B.JPEG", "a.jpg", f"table{suffix}"}
    assert [row.lat_deg for row in read_source(table)] == [48.9, 45.8]


def test_a_named_data_set_is_read_from_a_zip_on_s3(bucket):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("im2gps3ktest/a.jpg", picture("green"))
    bucket.write("sets/im2gps3k/im2gps3ktest.zip", archive.getvalue())
    bucket.write("sets/im2gps3k/im2gps3k_places365.csv", "IMG_ID,LAT,LON\na.jpg,48.9,2.3\n")
    bucket.write("sets/im2gps3k/features.npz", b"not asked for")
    given = resolve(f"im2gps3k@{bucket.uri('sets/im2gps3k')}")
    assert [row.id for row in read_source(given)] == ["a.jpg"]
    assert not list(given.path.rglob("*.npz"))
    elsewhere = resolve(f"im2gps3k@{bucket.uri('sets/im2gps3k')}", bucket.uri("sets/im2gps3k/im2gps3ktest.zip"))
    assert [row.id for row in read_source(elsewhere)] == ["a.jpg"]


def test_a_table_at_the_top_of_a_bucket_and_one_that_is_not_there(bucket):
    bucket.write("table.csv", "image,lat,lon\na.jpg,48.9,2.3\n")
    bucket.write("a.jpg", picture("green"))
    assert len(list(read_source(Path(fetch_source(bucket.uri("table.csv")))))) == 1
    with pytest.raises(InputError, match=r"s3://.*other\.csv: nothing there; check the name"):
        fetch_source(bucket.uri("other.csv"))


def dataset(tmp_path) -> Path:
    rows = [
        Row(id=str(n), image=b"\xff\xd8" + bytes(2000), lat_deg=1, lon_deg=2, country="Kenya", city="", split="train")
        for n in range(20)
    ]
    write_dataset(tmp_path / "data", rows)
    return tmp_path / "data"


def test_a_datasets_shards_wait_until_they_are_read(bucket, tmp_path, store, another_machine):
    uri = put_folder(bucket, dataset(tmp_path), "sets/one")
    folder = Path(fetch_dataset(uri))
    assert is_dataset(folder)
    assert dataset_digest(folder) == dataset_digest(tmp_path / "data")
    assert not list(folder.glob("*.parquet"))

    def adopt(stage_folder, reporter):
        return Outcome("given", {"data": str(folder)}, given={"data": [MANIFEST_NAME]})

    result = run_stage("source", store=store(), inputs={}, settings={"source": uri}, code=(), work=adopt)
    another_machine()
    data = Path(load_result(result.folder).outcome.outputs["data"])
    assert is_dataset(data)
    assert len(list(read_dataset(data))) == 20


@pytest.mark.parametrize(
    "name", ["../escaped", "a/../../escaped", "/escaped", "b\\escaped", "tab\tescaped", "./escaped", "escaped?versionId=1"]
)
def test_an_objects_name_cannot_climb_out_of_the_mirror(bucket, name, tmp_path):
    bucket.write("photos/fine.jpg", b"x")
    bucket.write(f"photos/{name}", b"x")
    assert len(bucket.names()) == 2
    with pytest.raises(InputError, match="rename the object"):
        storage.fetch(bucket.uri("photos"))
    assert not list(tmp_path.rglob("*escaped*"))


def test_an_object_that_is_also_a_folder_is_an_error(bucket):
    bucket.write("odd/x", b"1")
    bucket.write("odd/x/y", b"2")
    with pytest.raises(GlobeError, match="an object and a folder have the same name"):
        storage.fetch(bucket.uri("odd"))


def test_unusual_names_and_empty_files_travel(bucket):
    names = ["ä ö/ünï.txt", "a?version=1", "100%.txt", "x+y=z&w.txt", "写真/画像.txt", "#", "emp ty"]
    for name in names:
        bucket.write(f"odd/{name}", "" if name == "emp ty" else name)
    folder = Path(storage.fetch(bucket.uri("odd")))
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(names)
    assert all((folder / name).read_text() == name for name in names[:-1])


def test_nothing_there_is_an_error(bucket):
    with pytest.raises(InputError, match="nothing there; check the name"):
        storage.fetch(bucket.uri("models/absent"))


def test_a_killed_fetch_leaves_nothing_that_looks_whole_and_begins_only_that_file_again(bucket, line, scratch):
    size = 32_000_000
    bucket.write("models/m/config.json", "{}")
    bucket.write("models/m/model.safetensors", bytes(size))
    line.bytes_per_s = 3_000_000
    command = [sys.executable, "-m", "globe.models", bucket.uri("models/m")]
    fetching = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: line.down_bytes > 6_000_000 and list(scratch.rglob("config.json")), "the fetch is under way")
    fetching.kill()
    fetching.wait()
    assert not list(scratch.rglob("model.safetensors"))
    line.bytes_per_s = line.down_bytes = 0
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (Path(done.stdout.strip()) / "model.safetensors").read_bytes() == bytes(size)
    assert line.down_bytes < size + 1_000_000
    assert not list(scratch.rglob("*.partial"))


def test_an_object_that_is_replaced_while_it_is_fetched_is_told(bucket, line, monkeypatch):
    bucket.write("photos/a.jpg", b"old")
    fetch = storage.inputs.fetch

    def slowly(files, effort):
        fetch(files, effort)
        bucket.write("photos/a.jpg", b"new")

    monkeypatch.setattr(storage.inputs, "fetch", slowly)
    with pytest.raises(GlobeError, match=r"photos/a\.jpg: changed while it was fetched; start again"):
        storage.fetch(bucket.uri("photos"))
    monkeypatch.undo()


def test_the_command_of_an_init_container_pulls_what_it_is_given(bucket, model_uri, tmp_path):
    command = [sys.executable, "-m", "globe.models"]
    done = subprocess.run([*command, model_uri], capture_output=True, text=True)
    assert (Path(done.stdout.strip()) / "model.safetensors").read_bytes() == WEIGHTS
    refused = subprocess.run([*command, bucket.uri("absent")], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
