import json
import os
import signal
import subprocess
import sys
import time

import pytest

from globe.data.rows import Row
from globe.data.shards import all_but_shards, count_rows, dataset_digest, read_dataset, read_manifest, write_dataset
from globe.errors import InputError


def rows(count, size=100):
    for number in range(count):
        yield Row(
            id=f"p{number:04d}",
            image=bytes([number % 256]) * size,
            lat_deg=number / 100,
            lon_deg=-number / 100,
            country="Côte d’Ivoire",
            city="",
            split="test" if number % 5 == 0 else "train",
            entities=["red earth", "palm tree"][: number % 3],
            localizable=[None, True, False][number % 3],
            provenance={"country": "truth"},
        )


def test_rows_come_back_as_they_were_written_and_in_order(tmp_path):
    manifest = write_dataset(tmp_path, rows(50))
    assert list(read_dataset(tmp_path)) == list(rows(50))
    assert manifest.rows == count_rows(tmp_path) == 50
    assert manifest.splits == {"train": 40, "test": 10}


def test_a_shard_never_exceeds_its_limit_and_the_rows_go_on_in_the_next(tmp_path):
    manifest = write_dataset(tmp_path, rows(200, size=2000), max_shard_bytes=60_000)
    assert len(manifest.shards) > 5
    assert all(shard.bytes <= 60_000 for shard in manifest.shards)
    assert list(read_dataset(tmp_path)) == list(rows(200, size=2000))


def test_the_same_rows_give_the_same_digest_and_other_rows_another(tmp_path):
    write_dataset(tmp_path / "a", rows(20))
    write_dataset(tmp_path / "b", rows(20))
    write_dataset(tmp_path / "c", rows(21))
    assert dataset_digest(tmp_path / "a") == dataset_digest(tmp_path / "b") != dataset_digest(tmp_path / "c")


def test_an_empty_dataset_is_a_dataset(tmp_path):
    write_dataset(tmp_path, [])
    assert list(read_dataset(tmp_path)) == []


def test_an_id_given_twice_is_refused_and_leaves_no_dataset(tmp_path):
    with pytest.raises(InputError, match="'p0003' appears twice"):
        write_dataset(tmp_path, [*rows(10), *list(rows(10))[3:4]])
    with pytest.raises(InputError, match="no finished dataset"):
        read_dataset(tmp_path)


def test_a_failed_rewrite_invalidates_the_earlier_dataset_and_the_next_one_replaces_it(tmp_path):
    write_dataset(tmp_path, rows(300, size=2000), max_shard_bytes=60_000)

    def failing():
        yield next(rows(1))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_dataset(tmp_path, failing())
    with pytest.raises(InputError):
        read_manifest(tmp_path)
    write_dataset(tmp_path, rows(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "part-00000.parquet"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    write_dataset(tmp_path, rows(10))
    shard = tmp_path / "part-00000.parquet"
    data = shard.read_bytes()
    if damage == "flip":
        shard.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    elif damage == "truncate":
        shard.write_bytes(data[:-10])
    else:
        shard.unlink()
    with pytest.raises(InputError, match=r"part-00000\.parquet"):
        list(read_dataset(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 11},
        {"digest": "0" * 64},
        {"format": 2},
        {"shards": [{"name": "../part-00000.parquet", "rows": 10, "bytes": 1, "sha256": "0" * 64}]},
        {"surprise": 1},
    ],
)
def test_a_manifest_that_contradicts_itself_or_leaves_the_folder_is_refused(tmp_path, change):
    write_dataset(tmp_path, rows(10))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(InputError, match=r"manifest\.json"):
        read_dataset(tmp_path)


def test_a_writer_killed_midway_leaves_no_dataset(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from globe.data.rows import Row\n"
        "from globe.data.shards import write_dataset\n"
        "def rows():\n"
        "    n = 0\n"
        "    while True:\n"
        "        n += 1\n"
        "        yield Row(id=str(n), image=b'x' * 5000, lat_deg=0, lon_deg=1, country='', city='', split='train')\n"
        "write_dataset(pathlib.Path(sys.argv[1]), rows(), max_shard_bytes=100_000)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=env)
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "part-00002.parquet").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "part-00002.parquet").exists()
    with pytest.raises(InputError, match="no finished dataset"):
        read_dataset(tmp_path)


def test_shards_wait_where_their_manifest_lies_beside_them_and_nothing_else_does():
    at_once = {"a/manifest.json", "a/notes.parquet", "b/part-00000.parquet", "manifest.txt", "part-00001.parquet"}
    assert all_but_shards(at_once | {"a/part-00000.parquet", "a/part-00001.parquet"}) == at_once
    assert all_but_shards({"manifest.json", "part-00000.parquet"}) == {"manifest.json"}
