"""The same calls on folders: nothing of S3 is needed or loaded."""

import subprocess
import sys

import pytest

from globe import storage
from globe.errors import InputError

_FOLDERS_ONLY = """
import sys
from pathlib import Path
from globe import storage
from globe.run.stage import Outcome, run_stage
store = storage.open_store(sys.argv[1])
result = run_stage("toy", store=store, inputs={}, settings={}, code=(), work=lambda folder, reporter: Outcome("made"))
storage.check_access(store, write=True)
storage.have(Path(storage.fetch(str(result.folder))))
assert not {"s3fs", "fsspec", "botocore", "aiobotocore"} & set(sys.modules), "the S3 client was loaded"
"""


def test_a_store_that_is_a_folder_never_loads_the_s3_client(tmp_path):
    subprocess.run([sys.executable, "-c", _FOLDERS_ONLY, str(tmp_path / "store")], check=True)


def test_paths_outside_the_mirrors_are_handed_back_as_they_are(tmp_path):
    assert storage.have(tmp_path / "absent") == tmp_path / "absent"
    assert storage.stored_at("http://host/v1") == "http://host/v1"
    assert not storage.is_mirrored(tmp_path)


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to"):
        storage.check_access(tmp_path / "file" / "store", write=True)
    with pytest.raises(InputError, match="no such file or folder"):
        storage.check_access(tmp_path / "absent")
    with pytest.raises(InputError, match="cannot be read"):
        storage.read_text(tmp_path / "absent")


def test_names_in_a_folder_are_those_of_its_whole_files_with_their_folders(tmp_path):
    for name in ("b.json", "inner/a.json", "half.json.12.tmp"):
        path = tmp_path / "records" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert storage.names_in(tmp_path / "records") == ["b.json", "inner/a.json"]
    assert storage.names_in(tmp_path / "absent") == []
