import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from globe.data.rows import SCHEMA, Row, provenance_of, to_record
from globe.data.shards import (
    all_but_shards,
    count_rows,
    dataset_digest,
    read_columns,
    read_dataset,
    read_manifest,
    write_dataset,
)
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
        {"format": 1},
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


ORIGINS = [{"key": "made", "value": "other picture"}, {"key": "reasoning", "value": "a"}]
OLD_MAP = pa.map_(pa.string(), pa.string())
OF_NULLS = pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))
WITH_MORE = pa.list_(pa.struct({"key": pa.string(), "value": pa.string(), "more": pa.string()}))


def put_in_place_of_its_shard(folder, table, rows):
    """A shard that somebody else wrote, with a manifest that is right about its bytes."""
    shard = folder / "part-00000.parquet"
    pq.write_table(table, shard)
    manifest = json.loads((folder / "manifest.json").read_text())
    sha256 = hashlib.sha256(shard.read_bytes()).hexdigest()
    entry = {"name": shard.name, "rows": rows, "bytes": shard.stat().st_size, "sha256": sha256}
    digest = hashlib.sha256(json.dumps([[shard.name, rows, sha256]]).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**manifest, "rows": rows, "shards": [entry], "digest": digest}))


@pytest.mark.parametrize("read", [read_dataset, lambda folder: read_columns(folder, ["id", "provenance"])])
@pytest.mark.parametrize(
    ("kind", "origin"),
    [
        (OLD_MAP, [("made", "other picture")]), (OF_NULLS, [None]), (OF_NULLS, None), (WITH_MORE, ORIGINS),
        (pa.list_(pa.string()), ["made"]), (pa.string(), "made"), (None, None),
    ],
)  # fmt: skip
def test_a_shard_of_somebody_elses_columns_is_refused_by_every_reader(tmp_path, read, kind, origin):
    write_dataset(tmp_path, rows(3))
    table = pa.Table.from_pylist([to_record(row) for row in rows(3)], schema=SCHEMA).drop(["provenance"])
    if kind is not None:
        table = table.append_column("provenance", pa.array([origin] * 3, kind))
    put_in_place_of_its_shard(tmp_path, table, 3)
    with pytest.raises(InputError, match=r"part-00000\.parquet: its columns are not those of a dataset"):
        list(read(tmp_path))


@pytest.mark.parametrize("read", [read_dataset, lambda folder: read_columns(folder, ["id"])])
@pytest.mark.parametrize("told", [2, 4])
def test_a_shard_that_has_not_as_many_rows_as_its_manifest_says_is_refused(tmp_path, read, told):
    write_dataset(tmp_path, rows(3))
    put_in_place_of_its_shard(tmp_path, pa.Table.from_pylist([to_record(row) for row in rows(3)], schema=SCHEMA), told)
    with pytest.raises(InputError, match=rf"part-00000\.parquet: has 3 rows, and not {told} as the manifest says"):
        list(read(tmp_path))


def test_a_row_whose_provenance_has_a_key_twice_is_refused(tmp_path):
    write_dataset(tmp_path, rows(3))
    records = [to_record(row) for row in rows(3)]
    records[1]["provenance"] = [*ORIGINS, {"key": "made", "value": "cues removed"}]
    put_in_place_of_its_shard(tmp_path, pa.Table.from_pylist(records, schema=SCHEMA), 3)
    with pytest.raises(InputError, match=r"part-00000\.parquet: row 'p0001', field provenance: .*a key stands there twice"):
        list(read_dataset(tmp_path))


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
        deadline = time.monotonic() + 300
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


def test_some_columns_are_those_of_the_rows_without_the_pictures(tmp_path):
    write_dataset(tmp_path, rows(50, size=2000), max_shard_bytes=40_000)
    assert len(read_manifest(tmp_path).shards) > 1
    found = list(read_columns(tmp_path, ["id", "country", "localizable", "provenance"]))
    assert [(one["id"], one["country"], one["localizable"], provenance_of(one)) for one in found] == [
        (row.id, row.country, row.localizable, row.provenance) for row in rows(50)
    ]
    assert set(found[0]) == {"id", "country", "localizable", "provenance"}


def test_columns_of_a_shard_that_is_damaged_or_gone_are_refused(tmp_path):
    write_dataset(tmp_path, rows(3))
    shard = tmp_path / read_manifest(tmp_path).shards[0].name
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(InputError, match="not readable as parquet"):
        list(read_columns(tmp_path, ["id"]))
    shard.unlink()
    with pytest.raises(InputError, match="not readable as parquet"):
        list(read_columns(tmp_path, ["id"]))
    with pytest.raises(InputError, match="expected a dataset"):
        read_columns(tmp_path / "nothing", ["id"])
