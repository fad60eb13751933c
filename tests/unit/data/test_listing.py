"""Every part of a source tells what the whole lists, as it is told where the source is cut; and tells another source from it."""

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from globe.data.listing import changes
from globe.data.named import given_path
from globe.data.parts import parts_of
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.data.sources import list_source

from .test_parts import (
    csv_table,
    dataset,
    parquet_table,
    photo_folder,
    photo_tar,
    photo_zip,
    photos,  # noqa: F401 (a fixture)
    read,
    zip_with_table,
)


def a_row_before_all_others(table):
    header, rows = table.read_text("latin-1").split("\n", 1)
    table.write_text(f"{header}\n2.jpg,43.6,1.44,France,,\n{rows}", "latin-1")


def another_file_in_it(archive):
    if archive.suffix == ".tar":
        with tarfile.open(archive, "a") as tar:
            tar.add(Path(__file__), "00.jpg")
    else:
        with zipfile.ZipFile(archive, "a") as zipped:
            zipped.write(Path(__file__), "00.jpg")


def rows_in_another_order(folder):
    table = pq.read_table(folder / "1.parquet")
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), folder / "1.parquet", row_group_size=2)


def a_photo_under_another_name(folder):
    (folder / "7.jpg").rename(folder / "00.jpg")


def another_row(folder):
    shutil.rmtree(folder)
    write_dataset(folder, [Row(id="z", image=b"z", lat_deg=1, lon_deg=2, country="X", city="", split="train")])


CASES = [
    (csv_table, a_row_before_all_others, ["t.csv"]),
    (zip_with_table, another_file_in_it, ["all.zip"]),
    (parquet_table, rows_in_another_order, ["1.parquet"]),
    (photo_folder, a_photo_under_another_name, ["photos"]),
    (photo_zip, another_file_in_it, ["photos.zip"]),
    (photo_tar, another_file_in_it, ["photos.tar"]),
    (dataset, another_row, ["dataset"]),
]


@pytest.mark.parametrize("made", [made for made, *_ in CASES])
@pytest.mark.usefixtures("photos")
def test_a_reader_that_does_not_compare_it_is_told_no_listing(tmp_path, made):
    assert read(given_path(Path(made(tmp_path / "photos"))))[1].listing == {}


@pytest.mark.parametrize(("made", "change", "changed"), CASES)
@pytest.mark.usefixtures("photos")
def test_each_part_tells_the_whole_listing_and_what_has_changed_in_it(tmp_path, made, change, changed):
    path = Path(made(tmp_path / "photos"))
    rows, listing = list_source(given_path(path))
    parts = parts_of(rows, 3)
    assert len(parts) > 2
    assert [read(given_path(path), part, tells_listing=True)[1].listing for part in parts] == [listing] * len(parts)
    change(path)
    for part in parts:
        now = read(given_path(path), part, tells_listing=True)[1].listing
        assert [one.split(":")[0] for one in changes(listing, now).split("; ")] == changed


def test_a_table_is_known_by_its_content_and_not_by_its_time(photos):  # noqa: F811
    table = csv_table(photos)
    _, before = list_source(given_path(table))
    content = table.read_bytes()
    table.unlink()
    table.write_bytes(content)
    os.utime(table, (1, 1))
    assert list_source(given_path(table))[1] == before


def test_changes_are_told_by_name_with_both_states():
    assert changes({"a.csv": "x", "b.zip": "y"}, {"a.csv": "x", "b.zip": "y"}) == ""
    told = changes({"a.csv": "x", "b.zip": "y"}, {"a.csv": "z", "c.zip": "y"})
    assert told == "a.csv: x before, z now; b.zip: y before, not there now; c.zip: not there before, y now"
