"""Data sets by name, by name and place, and by path; in folders, zips and tars."""

import io
import shutil
import tarfile
import zipfile

import pytest
from PIL import Image

from globe.data.completeness import Unusable
from globe.data.ingest import counted
from globe.data.named import given_path, resolve, split_name
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.data.sources import SourceReport, read_source
from globe.errors import InputError

TABLE = "IMG_ID,AUTHOR,LAT,LON,S3_Label\na_1@N00.jpg,1@N00,48.86,2.35,2\nb_2@N00.jpg,2@N00,-33.86,151.2,0\n"


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 90, 40)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder of data sets with a whole im2gps3k, as it is published."""
    pictures = tmp_path / "sets" / "im2gps3k" / "im2gps3ktest"
    pictures.mkdir(parents=True)
    (pictures.parent / "im2gps3k_places365.csv").write_text(TABLE)
    (pictures / "a_1@N00.jpg").write_bytes(picture(10))
    (pictures / "b_2@N00.jpg").write_bytes(picture(200))
    monkeypatch.setenv("GLOBE_DATASETS", str(tmp_path / "sets"))
    return pictures.parent


def zipped(home, target, table=True):
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(home.rglob("*")):
            if path.is_file() and (table or path.suffix != ".csv"):
                archive.write(path, path.relative_to(home))
    return target


def rows_of(text, images=""):
    return [
        (row.id, row.country, row.provenance["scene"], row.provenance["photographer"])
        for row in read_source(resolve(text, images))
    ]


ROWS = [("a_1@N00.jpg", "France", "2", "1@N00"), ("b_2@N00.jpg", "Australia", "0", "2@N00")]


@pytest.mark.parametrize("name", ["im2gps3k", "img2gps3k", "IM2GPS3K"])
def test_a_name_alone_is_found_in_the_folder_of_data_sets(home, name):
    assert rows_of(name) == ROWS
    assert resolve(name).data_set.rows == 2_997
    assert resolve(name).pictures == (home / "im2gps3ktest",)


def test_a_name_and_a_place_may_be_a_folder_a_zip_or_a_tar(home, tmp_path, monkeypatch):
    monkeypatch.delenv("GLOBE_DATASETS")
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(home, "im2gps3k")
    for place in (home, zipped(home, tmp_path / "all.zip"), tmp_path / "all.tar"):
        assert rows_of(f"im2gps3k@{place}") == ROWS


def test_pictures_may_lie_elsewhere_and_the_table_beside_them(home, tmp_path, monkeypatch):
    pictures = zipped(home, tmp_path / "only-pictures.zip", table=False)
    assert rows_of("im2gps3k", str(pictures)) == ROWS
    monkeypatch.delenv("GLOBE_DATASETS")
    assert rows_of("im2gps3k", str(home / "im2gps3ktest")) == ROWS
    assert rows_of(str(home / "im2gps3k_places365.csv"), str(pictures)) == ROWS
    with pytest.raises(InputError, match=r"im2gps3k: no table in .*looked for im2gps3k_places365\.csv.*to be had from https"):
        resolve("im2gps3k", str(pictures))


def test_what_is_missing_is_named_with_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv("GLOBE_DATASETS", raising=False)
    with pytest.raises(InputError, match=r"yfcc4k: set GLOBE_DATASETS .*yfcc4k@PLACE.*to be had from https://github"):
        resolve("yfcc4k")
    monkeypatch.setenv("GLOBE_DATASETS", str(tmp_path))
    for given in ("yfcc4k", f"yfcc4k@{tmp_path}/none.zip"):
        with pytest.raises(InputError, match=r"yfcc4k: no such folder or archive as .* \(looked for yfcc4k_places365.csv"):
            resolve(given)
    with pytest.raises(InputError, match=r"yfcc4k: no table in .* \(looked for yfcc4k_places365.csv"):
        resolve(f"yfcc4k@{tmp_path}")
    with pytest.raises(InputError, match="no data set is called 'yfcc5k'; known are gws15k, im2gps"):
        resolve("yfcc5k@/data")
    with pytest.raises(InputError, match="no such folder or table"):
        resolve(str(tmp_path / "absent"))


def test_a_path_with_an_at_sign_is_a_path(tmp_path):
    (tmp_path / "me@home").mkdir()
    assert split_name(f"{tmp_path}/me@home") == (None, f"{tmp_path}/me@home")
    assert resolve(f"{tmp_path}/me@home").path == tmp_path / "me@home"


def test_an_archive_may_hold_the_table_too_but_not_several(home, tmp_path):
    assert [row.id for row in read_source(given_path(zipped(home, tmp_path / "p.zip")))] == ["a_1@N00.jpg", "b_2@N00.jpg"]
    (home / "other.csv").write_text(TABLE)
    with pytest.raises(InputError, match="holds several tables"):
        given_path(zipped(home, tmp_path / "q.zip"))


def test_osv5m_is_read_from_its_zips_with_iso_codes_as_countries(tmp_path):
    shards = tmp_path / "osv" / "images" / "test"
    shards.mkdir(parents=True)
    for number in range(2):
        with zipfile.ZipFile(shards / f"0{number}.zip", "w") as archive:
            archive.writestr(f"0{number}/{100 + number}.jpg", picture(100 * number))
    header = "id,latitude,longitude,country,sequence,city,creator_username,creator_id\n"
    (tmp_path / "osv" / "test.csv").write_text(
        f"{header}100,-22.56,17.08,NA,x,Windhoek,anna,1\n101,48.86,2.35,FR,y,Paris,ben,2\n"
    )
    given = resolve(f"osv5m-test@{tmp_path / 'osv'}")
    assert [path.name for path in given.pictures[:2]] == ["00.zip", "01.zip"]
    found = [(row.id, row.country, row.city, row.provenance["photographer"]) for row in read_source(given)]
    assert found == [("100", "Namibia", "Windhoek", "anna"), ("101", "France", "Paris", "ben")]


def test_a_dataset_is_given_as_it_is_and_of_a_curated_folder_its_test_set(tmp_path):
    row = Row(id="1", image=b"any", lat_deg=1, lon_deg=2, country="X", city="", split="test")
    write_dataset(tmp_path / "curated" / "test", [row])
    for path in (tmp_path / "curated", tmp_path / "curated" / "test"):
        assert (resolve(str(path)).path, resolve(str(path)).is_dataset) == (tmp_path / "curated" / "test", True)
        with pytest.raises(InputError, match="is a dataset, which holds its pictures itself; leave out"):
            resolve(str(path), str(tmp_path))


def test_a_folders_one_table_says_where_its_photos_were_taken_as_an_archives_does(home, tmp_path):
    """Its rows without a picture would otherwise be lost uncounted, and positions those of the photos themselves."""
    assert rows_of(str(home)) == rows_of(str(zipped(home, tmp_path / "p.zip"))) == ROWS
    (home / "another.csv").write_text(TABLE)
    with pytest.raises(InputError, match=r"holds several tables \(another\.csv, im2gps3k_places365\.csv\); give one"):
        resolve(str(home))


def test_a_folder_of_a_data_sets_name_is_not_called_one_unless_it_was_given_as_one(home):
    """Nobody counted its rows against the published ones, so what is known of these says nothing about it."""
    assert (resolve(str(home)).name, resolve("im2gps3k").name) == ("sets/im2gps3k", "im2gps3k")
    assert given_path(home / "im2gps3ktest").name == "im2gps3ktest"


@pytest.fixture
def joined(tmp_path, monkeypatch):
    """MP16-Reason-Train with one of its four pictures, and MP16-Pro with two of the others."""
    reason, pro = tmp_path / "sets" / "mp16-reason-train", tmp_path / "sets" / "mp16-pro"
    (reason / "mp16-reason-train-images").mkdir(parents=True)
    pro.mkdir()
    lines = [f"{n:02x}_{n}b_{n}.jpg,48.8{n},2.3{n},France,Paris" for n in range(4)]
    (reason / "mp16-reason-train.csv").write_text("\n".join(["IMG_ID,LAT,LON,country,city", *lines]) + "\n")
    (reason / "mp16-reason-train-images" / "00_0b_0.jpg").write_bytes(picture(10))
    for shard, numbers in (("a.zip", (0, 1)), ("b.zip", (2, 9))):
        with zipfile.ZipFile(pro / shard, "w") as archive:
            for n in numbers:
                archive.writestr(f"images/{n:02x}_{n}b_{n}.jpg", picture(100 + 20 * n))
    monkeypatch.setenv("GLOBE_DATASETS", str(tmp_path / "sets"))
    return reason, pro


def shades(text, images=""):
    given, report = resolve(text, images), SourceReport()
    found = {row.id: Image.open(io.BytesIO(row.image)).getpixel((5, 5))[0] for row in read_source(given, report)}
    return found, counted(given, report, len(found))


def test_pictures_that_a_set_lacks_are_those_of_another_by_their_id(joined, tmp_path, monkeypatch):
    reason, pro = joined
    found, record = shades("mp16-reason-train")
    assert found == {"00_0b_0.jpg": 10, "01_1b_1.jpg": 120, "02_2b_2.jpg": 140}  # its own comes first
    assert record.unusable["file_missing"] == Unusable(1, ["03_3b_3.jpg"])
    assert (record.rows_expected, record.usable, record.unusable["row_not_in_table"].n) == (33_721, 3, 33_717)
    monkeypatch.delenv("GLOBE_DATASETS")
    assert shades(f"mp16-reason-train@{reason}", str(pro))[0] == found
    assert list(shades(f"mp16-reason-train@{reason}", str(pro / "a.zip"))[0]) == ["00_0b_0.jpg", "01_1b_1.jpg"]
    assert shades(f"mp16-reason-train@{reason}")[0] == {"00_0b_0.jpg": 10}
    with pytest.raises(InputError, match=r"mp16-reason-train: 33720 of 33721 rows .* cannot be used: .*3 file_missing"):
        shades(f"mp16-reason-train@{reason}")[1].check(50, tmp_path)


def test_pictures_of_another_set_need_not_be_there(joined):
    reason, pro = joined
    shutil.rmtree(pro)
    assert shades("mp16-reason-train")[0] == {"00_0b_0.jpg": 10}
    with pytest.raises(InputError, match="there-is-none"):
        resolve("mp16-reason-train", str(reason / "there-is-none"))
