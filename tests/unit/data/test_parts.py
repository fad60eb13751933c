"""A source that is read in parts is the source."""

import hashlib
import shutil
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from globe.data import shards
from globe.data.named import given_path
from globe.data.parts import Part, parts_of
from globe.data.rows import Row
from globe.data.seen import Repeats
from globe.data.shards import write_dataset
from globe.data.sources import SourceReport, count_listed, read_source
from globe.errors import InputError

from .test_sources import AREZZO, photo

HEADER = "image,lat,lon,country,split,title\n"
LINES = (
    "0.jpg,48.86,2.35,France,,\n"
    "1.jpg,45.76,4.84,France,test,\n"
    '1.jpg,"48,8",2.35,France,,\n'
    "gone.jpg,48.86,2.35,France,,\n"
    "\n"
    '2.jpg,43.6,1.44,France,validation,"a ""pink""\n\ncity, and more"\n'
    "3.jpg,43.3,5.4,FR,holdout,\n"
    '"4"x.jpg,48.86,2.35,France,,\n'
    "4.jpg,NaN,2.35,France,,\n"
    "0.jpg,48.86,2.35,France,,\n"
    "5.jpg,48.11,-1.68,France,,,\n"
    "6.jpg,2.35,348.86,,,\n"
    "3.jpg,52.52,13.4,Germany,train,\n"
)
"""Rows of which one has a blank line in a field, one is a repeat, and each of the others is wrong for a reason of its own."""


def csv_table(folder):
    (folder / "t.csv").write_bytes((HEADER + LINES).encode() + "7.jpg,50.9,6.9,,,Köln\n".encode("latin-1"))
    return folder / "t.csv"


def zip_with_table(folder):
    csv_table(folder)
    with zipfile.ZipFile(folder.parent / "all.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return folder.parent / "all.zip"


def parquet_table(folder):
    """Two tables of row groups of two rows, with the pictures inside."""
    target = folder.parent / "parquet"
    target.mkdir()
    ids = [f"{number}.jpg" for number in [0, 1, 1, 2, 3, 4, 9, 5, 6, 0, 7]]
    pictures = [(folder / name).read_bytes() if (folder / name).exists() else None for name in ids]
    pictures[3] = pictures[3][:500]
    columns = {"id": ids, "lat": [48.86, 95.0, None, *[48.86] * 8], "lon": [2.35] * 11, "image": pictures}
    table = pa.table(columns)
    pq.write_table(table.slice(0, 5), target / "0.parquet", row_group_size=2)
    pq.write_table(table.slice(5), target / "1.parquet", row_group_size=2)
    return target


def photo_folder(folder):
    (folder / "5.jpg").write_bytes((folder / "5.jpg").read_bytes()[:500])
    (folder / "6.jpg").write_bytes((folder / "0.jpg").read_bytes())
    (folder / "7.jpg").write_bytes(photo(7))
    (folder / "8.gif").write_bytes(b"GIF89a")
    return folder


def photo_zip(folder):
    return shutil.make_archive(str(folder.parent / "photos"), "zip", photo_folder(folder))


def photo_tar(folder):
    with tarfile.open(folder.parent / "photos.tar", "w") as archive:
        archive.add(photo_folder(folder), "photos")
    return folder.parent / "photos.tar"


def dataset(folder):
    rows = [Row(id=str(n), image=bytes([n]) * 5000, lat_deg=n, lon_deg=2, country="X", city="", split="train") for n in range(11)]
    write_dataset(folder.parent / "dataset", rows, max_shard_bytes=21_000)
    assert len(list((folder.parent / "dataset").glob("*.parquet"))) > 2
    return folder.parent / "dataset"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(photo(30 * number, AREZZO))
    return folder


def read(given, part=None, **options):
    report = SourceReport(**options)
    return list(read_source(given, report, part=part)), report


SOURCES = [csv_table, zip_with_table, parquet_table, photo_folder, photo_zip, photo_tar, dataset]


@pytest.mark.parametrize("made", SOURCES)
def test_parts_one_after_another_are_the_whole(photos, made):
    given = given_path(Path(made(photos)))
    whole, report = read(given)
    listed = count_listed(given)
    assert listed == report.listed == report.read == len(whole) + report.refused
    assert len(whole) > 1
    for rows_of_a_part in (1, 2, 3, 5, listed, 100):
        rows, quarantined, repeats = [], [], Repeats()
        for index in range(-(-listed // rows_of_a_part)):
            found, of_part = read(given, Part(index, rows_of_a_part))
            assert of_part.read == of_part.listed == min(rows_of_a_part, listed - index * rows_of_a_part)
            quarantined += [
                (reason, one) for reason, ids in of_part.quarantined.items() if "duplicate" not in reason for one in ids
            ]
            # As a merge does it: a part's rows, and then those that were left out as repeats.
            for row in found:
                reason = repeats.reason(row.id, hashlib.sha256(row.image).digest())
                quarantined += [(reason, row.id)] if reason else []
                rows += [] if reason else [row]
            quarantined += [(repeats.reason(*one[:2]), one[0]) for one in of_part.repeats]
        assert rows == whole
        assert sorted(quarantined) == sorted((reason, one) for reason, ids in report.quarantined.items() for one in ids)
        assert read(given, Part(index + 1, rows_of_a_part))[0] == []


def test_each_row_of_a_table_in_parts_has_the_reason_that_is_its_own(photos):
    assert read(given_path(csv_table(photos)))[1].quarantined == {
        "position_not_a_number": ["1.jpg", "4.jpg"],
        "file_missing": ["gone.jpg"],
        "unknown_split": ["3.jpg"],
        "row_not_csv": ["row 9"],
        "duplicate_id": ["0.jpg"],
        "wrong_number_of_columns": ["5.jpg"],
        "position_out_of_range": ["6.jpg"],
        "row_not_utf8": ["row 15"],
    }


def test_shards_and_groups_of_rows_before_a_part_are_not_read(photos):
    folder = dataset(photos)
    names = sorted(path.name for path in folder.glob("*.parquet"))
    last = shards.read_manifest(folder).shards[-1]
    for name in names[:-1]:
        (folder / name).unlink()
    assert last.rows < 11
    assert [row.id for row in read(given_path(folder), Part(10, 1))[0]] == ["10"]
    with pytest.raises(InputError, match="missing"):
        read(given_path(folder), Part(0, 1))


def test_a_table_that_is_wrong_as_a_whole_is_refused_before_it_is_cut(photos):
    (photos / "t.csv").write_text("image,lat,lon,country\n" + "".join(f"{n}.jpg,2.35,48.86,France\n" for n in range(5)))
    with pytest.raises(InputError, match="swapped"):
        count_listed(given_path(photos / "t.csv"))


@pytest.mark.parametrize(("rows", "part_rows", "ends"), [(0, 5, [5]), (1, 5, [5]), (10, 5, [5, 10]), (11, 5, [5, 10, 15])])
def test_a_source_is_cut_into_parts_that_follow_each_other_and_have_all_its_rows(rows, part_rows, ends):
    parts = parts_of(rows, part_rows)
    assert [part.end for part in parts] == ends
    assert [part.first for part in parts] == [0, *ends[:-1]]
