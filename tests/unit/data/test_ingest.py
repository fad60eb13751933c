"""Photos become a dataset once, and what cannot be used is counted."""

import io
import json
import zipfile

import pytest
from PIL import Image

from globe.data.completeness import read_completeness
from globe.data.ingest import MAX_SIDE_PX, dataset_of, ingest, photos_of
from globe.data.named import given_path
from globe.data.recipe import SourceRecipe
from globe.data.shards import read_dataset
from globe.errors import InputError
from globe.run.events import Reporter


@pytest.fixture
def reporter(tmp_path) -> Reporter:
    return Reporter("source", tmp_path / "log")


def photos(folder, count, side=64):
    folder.mkdir()
    lines = ["image,lat,lon"]
    for number in range(count):
        file = io.BytesIO()
        Image.new("RGB", (side, side // 2), (40 * number, 90, 40)).save(file, "PNG")
        (folder / f"{number}.png").write_bytes(file.getvalue())
        lines.append(f"{number}.png,48.8566,2.3522")
    table = folder / "photos.csv"
    table.write_text("\n".join([*lines, "gone.png,1,2"]) + "\n")
    return table


def test_no_more_photos_are_read_than_asked_for_and_none_is_larger_than_models_use(tmp_path, reporter):
    table = photos(tmp_path / "photos", 3, side=2 * MAX_SIDE_PX)
    made = ingest(given_path(table), SourceRecipe(max_photos=2), tmp_path / "stage", reporter)
    rows = list(read_dataset(tmp_path / "stage" / "data"))
    assert (made.figures["pictures"], made.figures["quarantined"]) == (2, {})
    assert [(row.country, row.city) for row in rows] == [("France", "Paris")] * 2
    assert {max(Image.open(io.BytesIO(row.image)).size) for row in rows} == {MAX_SIDE_PX}


def test_what_could_not_be_used_is_counted_and_kept_by_reason(tmp_path, reporter):
    table = given_path(photos(tmp_path / "photos", 2))
    made = ingest(table, SourceRecipe(max_unusable_percent=50), tmp_path / "stage", reporter)
    ((reason, count),) = made.figures["quarantined"].items()
    assert (made.figure, count) == ("2 photos, 1 of 3 could not be used", 1)
    assert list(json.loads((tmp_path / "stage" / "quarantined.json").read_text())) == [reason]


def test_a_source_without_one_usable_photo_is_bad_input(tmp_path, reporter):
    table = photos(tmp_path / "photos", 0)
    for made in (
        lambda: ingest(given_path(table), SourceRecipe(), tmp_path / "stage", reporter),
        lambda: dataset_of(table, tmp_path / "made", reporter),
    ):
        with pytest.raises(InputError, match=r"no photo could be used \(1 "):
            made()


def test_photos_are_told_apart_by_what_they_hold(tmp_path):
    table = photos(tmp_path / "photos", 2)
    first = photos_of(given_path(table))
    assert photos_of(given_path(table)) == first
    (table.parent / "1.png").write_bytes(b"another")
    assert photos_of(given_path(table)) != first
    with pytest.raises(InputError, match="no such folder or table"):
        given_path(tmp_path / "absent")


def test_a_dataset_is_made_of_a_table_once_and_never_mixed_with_another(tmp_path, reporter):
    table, other = photos(tmp_path / "a", 2), photos(tmp_path / "b", 3)
    made = dataset_of(table, tmp_path / "made", reporter, max_unusable_percent=50)
    before = (made / "manifest.json").stat().st_mtime_ns
    assert dataset_of(table, tmp_path / "made", reporter, max_unusable_percent=50) == made
    with pytest.raises(InputError, match="1 of 3 rows"):  # also of what was made before
        dataset_of(table, tmp_path / "made", reporter)
    assert (made / "manifest.json").stat().st_mtime_ns == before
    assert dataset_of(made, tmp_path / "unused", reporter, max_unusable_percent=50) == made
    with pytest.raises(InputError, match="1 of 3 rows"):  # and of what others made
        dataset_of(made, tmp_path / "unused", reporter)
    with pytest.raises(InputError, match="holds the photos of a source other than"):
        dataset_of(other, tmp_path / "made", reporter)


def test_what_was_lost_is_recorded_beside_the_manifest(tmp_path, reporter):
    table = photos(tmp_path / "photos", 3)
    with table.open("a") as file:
        file.write("0.png,48.8,2.3\n1.png,91,2.3\n")
    made = dataset_of(table, tmp_path / "made", reporter, max_unusable_percent=50)
    record = read_completeness(made)
    assert record is not None
    assert (record.name, record.rows, record.rows_expected, record.usable) == ("photos.csv", 6, 6, 3)
    assert {reason: (one.n, one.first) for reason, one in record.unusable.items()} == {
        "file_missing": (1, ["gone.png"]), "duplicate_id": (1, ["0.png"]), "position_out_of_range": (1, ["1.png"])
    }  # fmt: skip
    assert (made / "manifest.json").is_file()


def test_nine_of_eleven_missing_pictures_stop_it_and_leave_no_dataset(tmp_path, reporter):
    table = photos(tmp_path / "photos", 2)
    table.write_text("image,lat,lon\n" + "".join(f"{number}.png,48.8566,2.3522\n" for number in range(11)))
    with pytest.raises(InputError, match=r"9 of 11 rows \(81\.8%\) cannot be used: 9 file_missing \(first: 2\.png\)"):
        dataset_of(table, tmp_path / "made", reporter)
    assert not (tmp_path / "made" / "manifest.json").exists()
    record = read_completeness(tmp_path / "made")
    assert record is not None
    assert record.usable == 2


def test_an_archive_that_has_changed_is_another_source(tmp_path, reporter):
    folder = photos(tmp_path / "photos", 2).parent
    (folder / "photos.csv").write_text("image,lat,lon\n0.png,48.8566,2.3522\n1.png,48.8566,2.3522\n")

    def pack(names):
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            for name in names:
                archive.write(folder / name, name)
        return given_path(tmp_path / "p.zip")

    whole = pack(["photos.csv", "0.png", "1.png"])
    made = dataset_of(whole, tmp_path / "made", reporter)
    assert dataset_of(whole, tmp_path / "made", reporter) == made
    with pytest.raises(InputError, match="holds the photos of a source other than"):
        dataset_of(pack(["photos.csv", "0.png"]), tmp_path / "made", reporter)
    loose = dataset_of(
        given_path(folder / "photos.csv", tmp_path / "p.zip"), tmp_path / "other", reporter, max_unusable_percent=50
    )
    assert [row.id for row in read_dataset(loose)] == ["0.png"]


def test_pictures_that_came_later_make_another_source(tmp_path, reporter):
    table = photos(tmp_path / "photos", 2)
    dataset_of(table, tmp_path / "made", reporter, max_unusable_percent=50)
    (table.parent / "gone.png").write_bytes((table.parent / "0.png").read_bytes())
    with pytest.raises(InputError, match="or that has changed"):
        dataset_of(table, tmp_path / "made", reporter, max_unusable_percent=50)


def test_a_record_of_the_source_that_is_damaged_is_not_this_sources(tmp_path, reporter):
    table = photos(tmp_path / "photos", 2)
    dataset_of(table, tmp_path / "made", reporter, max_unusable_percent=50)
    (tmp_path / "made.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="or that has changed"):
        dataset_of(table, tmp_path / "made", reporter, max_unusable_percent=50)


def test_a_source_without_any_usable_photo_says_why_and_where_to_look(tmp_path, reporter):
    table = photos(tmp_path / "photos", 2)
    table.write_text("image,lat,lon\n0.png,95,2\n1.png,,\n")
    with pytest.raises(InputError, match=r"\(1 no_position \(first: 1\.png\), 1 position_out_of_range \(first: 0\.png\)\)"):
        dataset_of(table, tmp_path / "made", reporter)
