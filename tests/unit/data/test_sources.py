import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from globe.data.images import exif_position
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError

AREZZO = {1: "N", 2: (43, 28, 2.8), 3: "E", 4: (11, 53, 6.4)}


def photo(shade=0, gps=None, size=(200, 150)):
    exif = Image.Exif()
    if gps:
        exif[0x8825] = gps
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 90, 40)).save(out, "JPEG", exif=exif.tobytes())
    return out.getvalue()


def read(path):
    report = SourceReport()
    return list(read_source(path, report)), report


def table(folder, text, name="photos.csv", pictures=("a.jpg", "b.jpg", "c.jpg")):
    for shade, picture in enumerate(pictures):
        (folder / picture).parent.mkdir(exist_ok=True)
        (folder / picture).write_bytes(photo(60 * shade))
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_folder_of_photos_becomes_rows_with_the_nearest_place(tmp_path):
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip" / "one.JPG").write_bytes(photo(10, AREZZO))
    (tmp_path / "two.jpg").write_bytes(photo(200, AREZZO))
    rows, report = read(tmp_path)
    assert [row.id for row in rows] == ["trip/one.JPG", "two.jpg"]
    assert (rows[0].country, rows[0].city) == ("Italy", "Arezzo")
    assert rows[0].lat_deg == pytest.approx(43.4674, abs=1e-3)
    assert rows[0].provenance["position"] == "exif"
    assert exif_position(rows[0].image) is None
    assert (report.read, report.quarantined) == (2, {})


def test_what_cannot_be_used_is_quarantined_with_its_reason(tmp_path):
    good = photo(10, AREZZO)
    huge = io.BytesIO()
    Image.new("1", (8000, 8000)).save(huge, "PNG")
    files = {
        "a.jpg": good,
        "copy.jpg": good,
        "no-gps.jpg": photo(20),
        "cut.jpg": good[:600],
        "page.png": b"<html>",
        "anim.gif": b"GIF89a",
        "scan.tiff": b"II*\0",
        "huge.jpg": huge.getvalue(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "notes.txt").write_text("not a picture, not looked at")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    rows, report = read(tmp_path)
    assert [row.id for row in rows] == ["a.jpg"]
    assert report.quarantined == {
        "unsupported_picture_type": ["anim.gif", "scan.tiff"],
        "picture_not_readable": ["cut.jpg", "page.png"],
        "duplicate_picture": ["copy.jpg"],
        "no_position": ["no-gps.jpg"],
        "picture_of_too_many_pixels": ["huge.jpg"],
    }
    assert report.read == len(files) == len(rows) + report.refused


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "private.jpg").write_bytes(photo(1, AREZZO))
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "link.jpg").symlink_to("../private.jpg")
    rows, report = read(folder)
    assert (rows, report.quarantined) == ([], {"file_outside_source": ["link.jpg"]})


@pytest.mark.parametrize(
    "text",
    [
        "image,lat,lon\na.jpg,43.46,11.88\nb.jpg,-33.86,151.2\n",
        "IMG_ID,LAT,LON\na,43.46,11.88\nb,-33.86,151.2\n",
        "id\timage\tlatitude\tlongitude\n1\ta.jpg\t43.46\t11.88\n2\tb.jpg\t-33.86\t151.2\n",
        "﻿Image;Lat;Lng\r\na.jpg;43.46;11.88\r\nb.jpg;-33.86;151.2\r\n",
    ],
)
def test_tables_of_the_usual_kinds_are_read(tmp_path, text):
    rows, report = read(table(tmp_path, text))
    assert [row.country for row in rows] == ["Italy", "Australia"]
    assert report.refused == 0


def test_names_and_split_of_a_table_are_kept_and_gaps_are_filled(tmp_path):
    text = (
        "image,lat,lon,country,city,split\n"
        'a.jpg,43.46,11.88,Italia,"Arezzo, centro",test\n'
        "b.jpg,-33.86,151.2,Australia,,\n"
        "c.jpg,43.79,7.60,France,,train\n"  # Ventimiglia, beside the border
    )
    rows, _ = read(table(tmp_path, text))
    assert (rows[0].country, rows[0].city, rows[0].split) == ("Italia", "Arezzo, centro", "test")
    assert (rows[1].city, rows[1].split, rows[1].provenance["city"]) == ("Sydney", "train", "gazetteer")
    assert (rows[2].country, rows[2].city) == ("France", "")


def test_pictures_may_lie_in_images_beside_the_table(tmp_path):
    rows, _ = read(table(tmp_path, "image,lat,lon\nx.jpg,1.3,103.8\n", pictures=["images/x.jpg"]))
    assert rows[0].country == "Singapore"


def test_pictures_may_lie_in_a_folder_that_the_caller_names(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.jpg").write_bytes(photo())
    path = table(tmp_path, "image,lat,lon\nx,1.3,103.8\n../a,1.3,103.8\n")
    report = SourceReport()
    rows = list(read_source(path, report, images=tmp_path / "elsewhere"))
    assert [row.id for row in rows] == ["x"]
    assert report.quarantined == {"file_outside_source": ["../a"]}
    with pytest.raises(InputError, match="no such folder"):
        read_source(path, images=tmp_path / "absent")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("b.jpg,NaN,11.9", "position_not_a_number"),
        ("b.jpg,inf,11.9", "position_not_a_number"),
        ('b.jpg,"43,4",11.9', "position_not_a_number"),
        ("b.jpg,91,11.9", "position_out_of_range"),
        ("b.jpg,43.4,181", "position_out_of_range"),
        ("b.jpg,0,0", "position_is_null_island"),
        ("b.jpg,,11.9", "no_position"),
        ("b.jpg", "no_position"),
        ("b.jpg,43.4,11.9,more", "wrong_number_of_columns"),
        (",43.4,11.9", "no_file_named"),
        ("a.jpg,43.4,11.9", "duplicate_id"),
        ("missing.jpg,43.4,11.9", "file_missing"),
        ("../secret.jpg,43.4,11.9", "file_outside_source"),
        ("/etc/passwd,43.4,11.9", "file_outside_source"),
        ("images/../../secret.jpg,43.4,11.9", "file_outside_source"),
        ("photos.csv,43.4,11.9", "picture_not_readable"),
        ("b.jpg,-48.9,-123.4", "no_country"),
        ("x" * 600 + ".jpg,43.4,11.9", "bad_file_name"),
    ],
)
def test_a_bad_line_is_quarantined_and_the_others_are_read(tmp_path, line, reason):
    folder = tmp_path / "source"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(photo(99))
    rows, report = read(table(folder, f"image,lat,lon\na.jpg,43.4,11.9\n{line}\nc.jpg,43.4,11.9\n"))
    assert [row.id for row in rows] == ["a.jpg", "c.jpg"]
    assert list(report.quarantined) == [reason]
    assert report.read == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks a column"),
        ("image,lat\na.jpg,1\n", "lacks a column.*lon"),
        ("place,lat,lon\nx,1,2\n", "file: one of"),
        ("image,lat,lon\n", "no rows"),
        ("image,lat,lon\na.jpg,151.2,-33.8\nb.jpg,153.0,-27.4\n", "swapped"),
        ("image,lat,lon\na.jpg,1,\0\n", "NUL"),
        ('image,lat,lon\n"' + "x" * 200_000 + '",1,2\n', "row 2: not CSV"),
    ],
)
def test_a_table_that_is_wrong_throughout_stops_with_one_clear_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(table(tmp_path, text))
    assert "photos.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_in_another_encoding_a_missing_path_and_an_empty_folder_are_clear(tmp_path):
    (tmp_path / "latin.csv").write_bytes("image,lat,lon\nköln.jpg,1,2\n".encode("latin-1"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.json").write_text("{}")
    for name, message in [("latin.csv", "UTF-8"), ("absent", "no such"), ("empty", "holds no"), ("file.json", "csv")]:
        with pytest.raises(InputError, match=message):
            read(tmp_path / name)


def test_a_source_that_holds_only_another_archive_is_refused_and_names_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as inner:
        inner.writestr("a.jpg", photo(gps=AREZZO))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.write(tmp_path / "inner.zip", "inner.zip")
    with pytest.raises(InputError, match=r"outer\.zip: holds no JPEG.*\. Archives in it are not opened: give inner\.zip itself"):
        read(tmp_path / "outer.zip")
    assert [row.id for row in read(tmp_path / "inner.zip")[0]] == ["a.jpg"]


def test_a_dataset_folder_is_read_as_it_is(tmp_path):
    row = Row(id="1", image=b"any", lat_deg=1, lon_deg=2, country="X", city="", split="test")
    write_dataset(tmp_path, [row])
    rows, report = read(tmp_path)
    assert (rows, report.read) == ([row], 1)


def zipped(folder, target):
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


def test_an_archive_of_geotagged_photos_is_read_like_their_folder(tmp_path):
    (tmp_path / "photos" / "trip").mkdir(parents=True)
    (tmp_path / "photos" / "trip" / "one.JPG").write_bytes(photo(10, AREZZO))
    (tmp_path / "photos" / "two.jpg").write_bytes(photo(200))
    from_folder, first = read(tmp_path / "photos")
    from_zip, second = read(zipped(tmp_path / "photos", tmp_path / "p.zip"))
    assert from_zip == from_folder
    assert second == first
    assert second.quarantined == {"no_position": ["two.jpg"]}


@pytest.mark.parametrize("kind", ["struct", "bytes", "name"])
def test_a_parquet_table_holds_its_pictures_or_names_them(tmp_path, kind):
    pictures = [photo(10), photo(200)]
    (tmp_path / "b.jpg").write_bytes(pictures[1])
    (tmp_path / "a.jpg").write_bytes(pictures[0])
    image = {
        "struct": pa.array([{"bytes": pictures[0], "path": None}, {"bytes": None, "path": "b.jpg"}]),
        "bytes": pa.array(pictures),
        "name": pa.array(["a", "b"]),
    }[kind]
    columns = {"id": ["x", "y"], "lat": [48.86, -33.86], "lon": [2.35, 151.2], "country": ["FR", None], "image": image}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", tmp_path):
        rows, report = read(source)
        assert [(row.id, row.country) for row in rows] == [("x", "France"), ("y", "Australia")]
        assert report.refused == 0


def test_a_position_outside_the_named_country_is_quarantined(tmp_path):
    lines = "".join(f"{number}.jpg,48.86,2.35,France\n" for number in range(20))
    path = table(
        tmp_path, f"image,lat,lon,country\n{lines}20.jpg,2.35,48.86,France\n", pictures=[f"{number}.jpg" for number in range(3)]
    )
    (tmp_path / "20.jpg").write_bytes(photo(201))
    rows, report = read(path)
    assert [row.id for row in rows] == ["0.jpg", "1.jpg", "2.jpg"]
    assert report.quarantined["position_outside_country"] == ["20.jpg"]


def test_a_picture_far_from_any_place_is_kept_for_scoring_only(tmp_path):
    path = table(tmp_path, "image,lat,lon\na.jpg,-48.9,-123.4\n")
    assert read(path)[1].quarantined == {"no_country": ["a.jpg"]}
    (row,) = read_source(path, keep_remote=True)
    assert (row.country, row.city, row.lat_deg) == ("", "", -48.9)
