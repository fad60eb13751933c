"""Pictures in parquet columns, as Hugging Face's datasets have them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from globe.data.embedded import EmbeddedPictures, picture_column
from globe.errors import InputError


def write(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_a_column_of_bytes_or_of_their_structure_is_found_and_a_column_of_names_is_none(tmp_path):
    structure = pa.array([{"bytes": b"1", "path": "a.jpg"}])
    assert picture_column(write(tmp_path / "a.parquet", id=["1"], photo=structure)) == "photo"
    assert picture_column(write(tmp_path / "b.parquet", id=["1"], image=[b"1"], thumb=[b"2"])) == "image"
    assert picture_column(write(tmp_path / "c.parquet", id=["1"], image=["a.jpg"])) == ""
    with pytest.raises(InputError, match="several columns hold bytes"):
        picture_column(write(tmp_path / "d.parquet", one=[b"1"], two=[b"2"]))
    (tmp_path / "e.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="not readable as parquet"):
        picture_column(tmp_path / "e.parquet")


def test_rows_are_numbered_through_all_tables_and_may_be_left_out(tmp_path):
    values = [b"%d" % number for number in range(40)]
    tables = [write(tmp_path / "0.parquet", image=values[:25]), write(tmp_path / "1.parquet", image=values[25:])]
    pictures = EmbeddedPictures(tables, "image")
    assert [pictures.read(row) for row in (0, 7, 24, 25, 39)] == [(b"%d" % row, "") for row in (0, 7, 24, 25, 39)]


def test_a_structure_may_lack_its_bytes_or_its_path(tmp_path):
    values = pa.array(
        [{"bytes": b"1", "path": None}, {"bytes": None, "path": "b.jpg"}, None],
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    pictures = EmbeddedPictures([write(tmp_path / "t.parquet", image=values)], "image")
    assert [pictures.read(row) for row in range(3)] == [(b"1", ""), (None, "b.jpg"), (None, "")]


def test_a_part_of_a_table_may_only_name_files(tmp_path):
    tables = [write(tmp_path / "0.parquet", image=[b"1"]), write(tmp_path / "1.parquet", image=["b.jpg"])]
    pictures = EmbeddedPictures(tables, "image")
    assert [pictures.read(row) for row in range(2)] == [(b"1", ""), (None, "b.jpg")]
