"""One reader of tables, with one list of column names, for sources, truths and predictions."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from globe.data.tables import (
    COLUMNS,
    DEFECT,
    NOT_CSV,
    NOT_UTF8,
    SURPLUS,
    find_columns,
    read_json_lines,
    read_text,
    refuse_two_positions,
    table_rows,
    unblanked,
)
from globe.errors import InputError


def rows(tmp_path, text, name="t.csv", **how):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return [row for _, row in table_rows(tmp_path / name, **how)][1:]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "id,lat,lon\na,1,2\n"),
        ("t.txt", "id;lat;lon\r\na;1;2\r\n"),
        ("t.csv", "id\tlat\tlon\na\t1\t2\n"),
        ("t.TSV", "id\tlat\tlon\na\t1\t2\n"),
        ("t.csv", '\ufeff"id", lat ,lon\n\na,1,"2"\n'),
        ("t.jsonl", '{"id": "a", "lat": 1, "lon": "2"}\n\n'),
        ("t.NDJSON", '{"id": "a", "lat": 1, "lon": 2}'),
    ],
)
@pytest.mark.parametrize("loose", [False, True])
def test_a_table_is_the_same_however_it_is_written(tmp_path, name, text, loose):
    assert rows(tmp_path, text, name, loose=loose) == [{"id": "a", "lat": "1", "lon": "2"}]


def test_a_table_with_one_column_has_no_delimiter(tmp_path):
    assert rows(tmp_path, "answer\nsomewhere in France\n") == [{"answer": "somewhere in France"}]


def test_columns_are_found_in_any_case_and_the_preferred_one_of_several():
    assert find_columns(["IMG_ID", " Latitude ", "long", "Lng", "note"], ("id", "file", "lat", "lon", "city")) == {
        "id": "IMG_ID",
        "file": "IMG_ID",
        "lat": " Latitude ",
        "lon": "Lng",
    }


@pytest.mark.parametrize(("field", "name"), [(field, name) for field, names in COLUMNS.items() for name in names])
def test_every_spelling_is_taken(field, name):
    assert find_columns([name.upper()], [field]) == {field: name.upper()}


def test_a_row_of_another_length_is_refused_or_left_to_the_caller(tmp_path):
    text = "id,lat,lon\na,1\nb,1,2,3,4\n"
    with pytest.raises(InputError, match=r"t\.csv: row 2: has 2 fields, the header 3"):
        rows(tmp_path, text)
    assert rows(tmp_path, text, loose=True) == [
        {"id": "a", "lat": "1", "lon": ""},
        {"id": "b", "lat": "1", "lon": "2", SURPLUS: "3,4"},
    ]


@pytest.mark.parametrize("loose", [False, True])
def test_two_columns_of_one_name_are_refused_but_for_those_that_nobody_reads(tmp_path, loose):
    with pytest.raises(InputError, match="row 1: column 'LAT' appears twice; keep one"):
        rows(tmp_path, "id,LAT,LAT\na,1,2\n", loose=loose)
    two = [pa.array(["a"]), pa.array([1.0]), pa.array([50.0])]
    pq.write_table(pa.table(two, names=["id", "lat", "lat"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: column 'lat' appears twice; keep one"):
        list(table_rows(tmp_path / "t.parquet", loose=loose))


def test_two_columns_that_nobody_reads_are_only_refused_where_rows_are_read_strictly(tmp_path):
    with pytest.raises(InputError, match="row 1: column 'note' appears twice"):
        rows(tmp_path, "id,note,note\na,1,2\n")
    assert rows(tmp_path, "id,note,note\na,1,2\n", loose=True) == [{"id": "a", "note": "2"}]


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("text", ['id,city\na,"Paris\nb,Rome\nc,Lima\n', 'id,city\na,"Paris\nb,"Rome"\nc,Lima\n'])
def test_an_unclosed_quotation_mark_swallows_no_rows(tmp_path, text, loose):
    with pytest.raises(InputError, match=r"row \d: not CSV \(.*\); is a quotation mark in it unclosed"):
        rows(tmp_path, text, loose=loose)
    assert rows(tmp_path, 'id,city\na,"Paris,\nFrance"\nb,5" lens\n', loose=loose)[1] == {"id": "b", "city": '5" lens'}


@pytest.mark.parametrize("header", ["LAT,LON,lat,lon", "lat,lon,latitude,lng", "lat,lon,true_lat", "lat,lon,GT Lon"])
def test_two_columns_for_one_coordinate_are_refused(tmp_path, header):
    with pytest.raises(InputError, match=r"row 1: has the columns .*, so it is unclear which position is meant"):
        refuse_two_positions(tmp_path, ["id", *header.split(",")])
    refuse_two_positions(tmp_path, ["id", "true_lat", "true_lon", "pred_lat", "lon_bin"])


def test_the_limit_on_a_field_is_each_readers_own_whatever_was_read_before(tmp_path):
    long = f"id,answer\na,{'x' * 200_000}\n"
    with pytest.raises(InputError, match=r"row 2: not CSV \(field larger"):
        rows(tmp_path, long, loose=True)
    assert len(rows(tmp_path, long)[0]["answer"]) == 200_000
    csv.field_size_limit(10)
    assert len(rows(tmp_path, "id,answer\na,more than ten characters\n", loose=True)) == 1


def test_lists_and_objects_of_json_stay_themselves(tmp_path):
    assert rows(tmp_path, '{"a": [1], "b": {"c": 2}, "d": null, "e": true}\n', "t.jsonl") == [
        {"a": [1], "b": {"c": 2}, "d": "", "e": "True"}
    ]


def test_json_lines_say_where_each_object_stands(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": "x\u2028y"}\n\n{"a": 2}\n[]\n', encoding="utf-8")
    read = read_json_lines(tmp_path / "t.jsonl")
    assert [next(read)[0], next(read)[0]] == [f"{tmp_path}/t.jsonl: row {n}" for n in (1, 3)]
    with pytest.raises(InputError, match="row 4: not a JSON object but list"):
        next(read)


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"k\xf6ln")
    for path, message in (
        (tmp_path / "latin.csv", "not a text file in UTF-8"),
        (tmp_path, "cannot be read"),
        (tmp_path / "no", "no such"),
    ):
        with pytest.raises(InputError, match=message):
            read_text(path)


def test_a_parquet_tables_values_are_text_and_pictures_in_it_are_named_only(tmp_path):
    columns = {"id": [1, 2], "lat": [1.5, None], "image": [b"x", b"y"], "tags": [["a"], []]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    rows = list(table_rows(tmp_path / "t.parquet"))
    assert list(rows[0][1]) == ["id", "lat", "image", "tags"]
    assert rows[1:] == [
        (f"{tmp_path / 't.parquet'}: row 1", {"id": "1", "lat": "1.5"}),
        (f"{tmp_path / 't.parquet'}: row 2", {"id": "2", "lat": ""}),
    ]
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="not readable as parquet"):
        list(table_rows(tmp_path / "t.parquet"))


def test_a_table_that_is_no_file_is_read_from_its_bytes(tmp_path):
    rows = list(table_rows(tmp_path / "p.zip" / "t.csv", content="id;lat\n1;2\n".encode("utf-8-sig")))
    assert rows[1] == (f"{tmp_path}/p.zip/t.csv: row 2", {"id": "1", "lat": "2"})


@pytest.mark.parametrize("text", ["a b", "", "01"])
def test_an_id_is_what_is_written(text):
    assert unblanked("t.csv: row 2", "id", text) == text
    with pytest.raises(InputError, match=r"t\.csv: row 2: id .* has blanks at its ends"):
        unblanked("t.csv: row 2", "id", f"{text} ")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
@pytest.mark.parametrize("skip", [0, 1, 2, 3, 6, 7, 9])
def test_rows_that_are_passed_over_change_nothing_about_the_others(tmp_path, name, skip):
    rows = [{"id": str(number), "text": f"line\n{number}"} for number in range(7)]
    if name == "t.parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name, row_group_size=3)
    elif name == "t.jsonl":
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        (tmp_path / name).write_text("id,text\n" + "".join(f'{row["id"]},"{row["text"]}"\n\n' for row in rows))
    header, *whole = table_rows(tmp_path / name)
    assert len(whole) == 7
    assert list(table_rows(tmp_path / name, skip=skip)) == [header, *whole[skip:]]


def test_a_row_that_cannot_be_understood_says_why_and_the_next_one_is_read(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'id,lat\n1,2\n"a"b,3\ncaf\xe9,4\n5,6\n')
    assert [row.get(DEFECT, row["id"]) for _, row in list(table_rows(tmp_path / "t.csv", loose=True))[1:]] == [
        "1", NOT_CSV, NOT_UTF8, "5"
    ]  # fmt: skip
    with pytest.raises(InputError, match="UTF-8"):
        list(table_rows(tmp_path / "t.csv"))


def test_a_quotation_mark_that_swallows_other_rows_stops_the_reading(tmp_path):
    (tmp_path / "t.csv").write_text('id,lat\n1,"2\n3,4\n5,"6"\n')
    with pytest.raises(InputError, match="row 2: not CSV"):
        list(table_rows(tmp_path / "t.csv", loose=True))
