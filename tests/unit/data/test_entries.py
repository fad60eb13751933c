"""What a table lists, before any picture is read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from globe.data.entries import check_table, photo_entries, table_entries
from globe.errors import InputError


def csv(folder, text):
    (folder / "t.csv").write_text(text)
    return [folder / "t.csv"]


def test_photos_are_listed_by_name():
    assert [(entry.id, entry.file) for entry in photo_entries(["a.jpg", "b.jpg"])] == [("a.jpg", "a.jpg"), ("b.jpg", "b.jpg")]


@pytest.mark.parametrize("author", ["AUTHOR", "photographer", "user", "creator_username"])
@pytest.mark.parametrize("label", ["S3_Label", "S16_Label", "scene"])
def test_scene_and_photographer_are_kept_under_any_usual_name(tmp_path, author, label):
    (entry,) = table_entries(csv(tmp_path, f"IMG_ID,{author},LAT,LON,{label}\na.jpg,me,48.86,2.35,urban\n"), {})
    assert entry.origin == {"scene": "urban", "photographer": "me"}
    assert (entry.id, entry.file, entry.position) == ("a.jpg", "a.jpg", (48.86, 2.35))


def test_columns_that_a_data_set_names_go_before_usual_names(tmp_path):
    table = csv(tmp_path, "id,image,lat,lon,other\n1,thumb.jpg,1,2,full.jpg\n")
    assert [entry.file for entry in table_entries(table, {"file": "other"})] == ["full.jpg"]
    assert [entry.file for entry in table_entries(table, {"file": "not there"})] == ["thumb.jpg"]


@pytest.mark.parametrize("identity", [" a", "a ", "\ta", "a\u00a0"])
def test_blanks_at_an_ids_ends_are_refused_by_row(tmp_path, identity):
    with pytest.raises(InputError, match=r"t\.csv: row 3: id .* has blanks at its ends; remove them"):
        list(table_entries(csv(tmp_path, f'id,image,lat,lon\nb,b.jpg,1,2\n"{identity}",a.jpg,1,2\n'), {}))


def test_a_table_with_two_positions_is_refused_unless_its_data_set_says_which_counts(tmp_path):
    table = csv(tmp_path, "id,lat,lon,true_lat,true_lon\na.jpg,48.86,2.35,13.75,100.5\n")
    with pytest.raises(InputError, match="columns lat, true_lat, so it is unclear"):
        list(table_entries(table, {}))
    (entry,) = table_entries(table, {"lat": "true_lat", "lon": "true_lon"})
    assert entry.position == (13.75, 100.5)


def test_a_number_with_an_underscore_is_none(tmp_path):
    (entry,) = table_entries(csv(tmp_path, "id,lat,lon\na.jpg,4_8,2\n"), {})
    assert entry.position == "position_not_a_number"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ("a.jpg;48,8566;2,3522", "'48,8566', '2,3522'"),
        ("a.jpg;43°28'1\u2033N;11°53'2\u2033E", "43°28'1\u2033N"),
        ("a.jpg;434,670;118,840", "'434,670'"),
    ],
)
def test_a_table_without_one_position_in_decimal_degrees_is_refused_by_row_and_value(tmp_path, row, shown):
    table = csv(tmp_path, f"id;lat;lon\nb.jpg;;\n{row}\n")
    with pytest.raises(InputError, match=r"row 3.*decimal degrees with a point") as caught:
        check_table(table, {})
    assert shown in str(caught.value)
    assert check_table(csv(tmp_path, f"id;lat;lon\n{row}\nb.jpg;1.5;2.5\n"), {}) == 2  # one alone is counted as any other


def test_ids_are_compared_as_they_are_written(tmp_path):
    ids = ["a", "A", "01", "1", "1.0"]
    lines = "".join(f"{one},{number}.jpg,1,2\n" for number, one in enumerate(ids))
    assert [entry.id for entry in table_entries(csv(tmp_path, f"id,image,lat,lon\n{lines}"), {})] == ids


def test_swapped_positions_within_valid_ranges_are_refused_where_countries_are_named(tmp_path):
    places = [(48.86, 2.35, "France"), (45.76, 4.84, "FR"), (52.52, 13.4, "Germany")]
    right = "".join(f"{lat},{lon},{country},p{lat}\n" for lat, lon, country in places)
    assert check_table(csv(tmp_path, f"lat,lon,country,image\n{right}"), {}) == 3
    message = (
        r"t\.csv: 3 of 3 positions .*row 2, id 'p48.86': lat 2.35, lon 48.86 is not in France, but is with lat and lon swapped"
    )
    with pytest.raises(InputError, match=message):
        check_table(csv(tmp_path, f"lon,lat,country,image\n{right}"), {})


def test_a_parquet_tables_parts_are_one_table(tmp_path):
    tables = []
    for part in range(2):
        tables.append(tmp_path / f"{part}.parquet")
        columns = {"image": [b"x", b"y"], "latitude": [1.5, None], "longitude": [2.5, 3.0], "country_code": ["GA", "GA"]}
        pq.write_table(pa.table({"id": [2 * part, 2 * part + 1], **columns}), tables[-1])
    entries = list(table_entries(tables, {}))
    assert [(entry.id, entry.position) for entry in entries] == [
        ("0", (1.5, 2.5)), ("1", "no_position"), ("2", (1.5, 2.5)), ("3", "no_position")
    ]  # fmt: skip
    assert {entry.problem for entry in entries} == {""}


def test_a_parquet_column_of_lists_holds_no_position(tmp_path):
    columns = {"id": ["a"], "image": ["a.jpg"], "lat": [[48.86]], "lon": [2.35]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert [entry.position for entry in table_entries([tmp_path / "t.parquet"], {})] == ["no_position"]


def test_rows_of_several_parts_without_ids_are_told_apart(tmp_path):
    tables = [tmp_path / f"{part}.parquet" for part in range(2)]
    for table in tables:
        pq.write_table(pa.table({"image": [b"x", b"y"], "lat": [1.5, 2.5], "lon": [2.5, 3.5]}), table)
    names = [entry.id for entry in table_entries(tables, {})]
    assert names == ["0.parquet: row 1", "0.parquet: row 2", "1.parquet: row 1", "1.parquet: row 2"]
    assert [entry.id for entry in table_entries(tables[:1], {})] == ["row 1", "row 2"]


@pytest.mark.parametrize("text", ["4_8", "48,86", "48.86 N", "nan", "1e400"])
def test_what_only_python_takes_for_a_number_is_none(tmp_path, text):
    (entry,) = table_entries(csv(tmp_path, f'id,image,lat,lon\na,a.jpg,"{text}",2.35\n'), {})
    assert entry.position == "position_not_a_number"
