"""Zips of pictures that are read where they lie, by ranges, whatever the line to them does."""

import io
import random
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from globe import storage
from globe.data import ahead
from globe.data.ingest import photos_of
from globe.data.named import given_path, resolve
from globe.data.parts import Part
from globe.data.pictures import open_pictures
from globe.data.sources import SourceReport, count_listed, read_source
from globe.errors import GlobeError, InputError
from globe.storage.ranges import READ_AHEAD_BYTES

PHOTOS = 12


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A zip of 12 photos of about 200 KB with a table that lists one more, and names one twice."""
    path = tmp_path_factory.mktemp("zip") / "photos.zip"
    random = np.random.default_rng(0)
    lines = ["IMG_ID,LAT,LON,country"]
    with zipfile.ZipFile(path, "w") as file:
        for number in range(PHOTOS):
            out = io.BytesIO()
            Image.fromarray(random.integers(0, 255, (300, 400, 3), dtype=np.uint8)).save(out, "JPEG", quality=95)
            file.writestr(f"images/{number}.jpg", out.getvalue())
            lines.append(f"{number}.jpg,48.8{number},2.35,France")
        file.writestr("table.csv", "\n".join([*lines, "gone.jpg,48.8,2.35,France", "3.jpg,48.8,2.35,France"]) + "\n")
    return path


@pytest.fixture
def uri(bucket, archive):
    bucket.write("sets/photos.zip", archive.read_bytes())
    return bucket.uri("sets/photos.zip")


def read(given, part=None):
    report = SourceReport()
    return list(read_source(given, report, part=part)), report.quarantined


def fetched(scratch):
    return list(scratch.rglob("*.zip")) if scratch.exists() else []


def test_a_zip_on_s3_is_read_like_the_file_and_not_fetched(uri, archive, scratch):
    given = resolve(uri)
    assert read(given) == read(given_path(archive))
    assert len(read(given)[0]) == PHOTOS
    assert read(given, Part(1, 5)) == read(given_path(archive), Part(1, 5))
    assert count_listed(given) == PHOTOS + 2
    assert fetched(scratch) == []


def test_of_a_large_zip_only_what_is_asked_for_is_moved(bucket, line, archive, scratch):
    padded = io.BytesIO(archive.read_bytes())
    with zipfile.ZipFile(padded, "a") as file:
        for number in range(3):
            file.writestr(f"other{number}.bin", bytes(20 * READ_AHEAD_BYTES))
        file.writestr("zz/only.jpg", zipfile.ZipFile(archive).read("images/0.jpg"))
    bucket.write("large.zip", padded.getvalue())
    bucket.write("table.csv", "image,lat,lon\nonly.jpg,48.8,2.3\n")
    before = line.down_bytes
    rows, _ = read(resolve(bucket.uri("table.csv"), bucket.uri("large.zip")))
    assert [row.id for row in rows] == ["only.jpg"]
    assert line.down_bytes - before < 8 * READ_AHEAD_BYTES < len(padded.getvalue()) / 7
    assert fetched(scratch) == []


def test_a_known_data_set_has_its_zips_and_those_of_another_on_s3(bucket, archive, scratch, monkeypatch):
    content = zipfile.ZipFile(archive)
    for key, names in (("mp16-reason-train/mp16-reason-train-images.zip", range(4)), ("mp16-pro/a.zip", range(3, 9))):
        part = io.BytesIO()
        with zipfile.ZipFile(part, "w") as file:
            for number in names:
                file.writestr(f"{number}.jpg", content.read(f"images/{number}.jpg"))
        bucket.write(f"home/{key}", part.getvalue())
    bucket.write("home/mp16-reason-train/mp16-reason-train.csv", content.read("table.csv"))
    monkeypatch.setenv("GLOBE_DATASETS", bucket.uri("home"))
    rows, quarantined = read(resolve("mp16-reason-train"))
    assert rows == read(given_path(archive))[0][:9]
    assert quarantined["file_missing"] == ["9.jpg", "10.jpg", "11.jpg", "gone.jpg"]
    assert fetched(scratch) == []


def test_refused_ranges_are_asked_for_again(uri, archive, front):
    asked = iter(range(10**6))
    front.refuse = lambda method, path, headers: (
        next(asked) % 3 and (503, "SlowDown") if "Range" in headers and method == "GET" else None
    )
    assert read(resolve(uri)) == read(given_path(archive))
    assert front.refused > 3


def test_a_line_that_is_slow_and_cut_after_each_photo_changes_nothing(uri, archive, line):
    line.bytes_per_s = 4e6
    rows, mending = [], threading.Thread()
    for row in read_source(resolve(uri)):
        rows.append(row)
        if not mending.is_alive():
            line.cut()
            mending = threading.Timer(0.3, line.restore)
            mending.start()
    mending.join()
    assert rows == read(given_path(archive))[0]


def test_a_line_that_stays_cut_is_one_clear_error_and_no_list_of_bad_pictures(uri, line, monkeypatch):
    monkeypatch.setenv("GLOBE_S3_PATIENCE_S", "2")
    monkeypatch.setattr(ahead, "MOST_PICTURES", 3)
    report = SourceReport()
    rows = read_source(resolve(uri), report)
    next(rows)
    line.cut()
    with pytest.raises(GlobeError, match=r"photos\.zip: no answer from 127\.0\.0\.1") as caught:
        list(rows)
    line.restore()
    assert not isinstance(caught.value, InputError)
    assert report.quarantined == {}


def test_another_version_that_comes_meanwhile_is_one_clear_error(bucket, uri, archive, monkeypatch):
    monkeypatch.setattr(ahead, "MOST_PICTURES", 3)
    given = resolve(uri)
    before, rows = photos_of(given), read_source(given)
    next(rows)
    bucket.write("sets/photos.zip", archive.read_bytes() + b"\0")
    with pytest.raises(GlobeError, match=r"photos\.zip: changed while it was read; start again"):
        list(rows)
    assert photos_of(given) != before
    assert photos_of(given) == photos_of(resolve(uri))


def test_what_is_no_zip_or_not_there_is_bad_input(bucket):
    bucket.write("page.zip", b"<html>" * 100)
    with pytest.raises(InputError, match=r"s3://.*/page\.zip: is no folder, zip or tar of pictures, or a damaged one"):
        resolve(bucket.uri("page.zip"))
    with pytest.raises(InputError, match=r"none\.zip: no such folder"):
        resolve(bucket.uri("none.zip"))


def test_ranges_are_those_of_the_bytes(bucket):
    content = np.random.default_rng(1).integers(0, 256, 3 * READ_AHEAD_BYTES + 17, dtype=np.uint8).tobytes()
    bucket.write("bytes", content)
    here = io.BytesIO(content)
    with storage.open_ranges(bucket.uri("bytes")) as there:
        for offset, whence, size in [
            (0, 0, 10), (-5, 2, 10), (READ_AHEAD_BYTES - 3, 0, 7), (5, 1, 100), (0, 2, 1), (len(content) + 9, 0, 4), (-17, 2, -1),
            (1, 0, 2 * READ_AHEAD_BYTES), (0, 0, 0), (0, 0, -1),
        ]:  # fmt: skip
            assert there.seek(offset, whence) == here.seek(offset, whence)
            assert there.read(size) == here.read(size)
            assert there.tell() == here.tell()
        with pytest.raises(ValueError, match="before the beginning"):
            there.seek(-1)


def test_ranges_asked_for_by_several_threads_are_those_of_the_bytes(bucket, front):
    content = np.random.default_rng(2).integers(0, 256, READ_AHEAD_BYTES, dtype=np.uint8).tobytes()
    bucket.write("bytes", content)
    asked = iter(range(10**6))
    front.refuse = lambda method, path, headers: next(asked) % 3 == 0 and (503, "SlowDown") if "Range" in headers else None
    draw = random.Random(3)
    spans = [(draw.randrange(len(content) + 100), draw.randrange(50_000)) for _ in range(60)]
    with storage.open_ranges(bucket.uri("bytes")) as there, ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda span: there.read_at(*span), spans))
    assert read == [content[start : start + size] for start, size in spans]
    assert front.refused > 10


def odd_zip(path):
    """A zip whose pictures are damaged, packed, named and placed in any way, with small ones between them; and their names."""
    draw, names = random.Random(5), []
    with zipfile.ZipFile(path, "w") as file:
        for number in range(60):
            name = f"{number % 7:02x}/p\N{LATIN SMALL LETTER E WITH ACUTE}{number}.jpg"
            method = draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
            one = zipfile.ZipInfo(name)
            one.compress_type = method
            if number % 10 == 3:
                one.extra = b"\xff\xff" + (1996).to_bytes(2, "little") + bytes(1996)  # far more than any usual one
            file.writestr(one, draw.randbytes(draw.choice([0, 10, 3000, 200_000])))
            names.append(name)
        places = {one.filename: (one.header_offset, one.compress_size) for one in file.infolist()}
    content = bytearray(path.read_bytes())
    for number, name in enumerate(names):
        at, packed = places[name]
        if number % 6 == 1 and packed:
            content[at + 60 + packed // 2] ^= 0x55  # damaged within
        if number % 13 == 5:
            content[at + 28 : at + 30] = b"\xff\xff"  # a header that says that another 64 KB stand before the picture
    entry = content.index(b"PK\1\2")
    for number in range(len(names)):
        if number % 11 == 4:
            content[entry + 42 : entry + 46] = draw.choice([b"\xf0\xff\xff\x7f", b"\x01\0\0\0"])  # behind the end, or nowhere
        if number % 17 == 6:
            content[entry + 20 : entry + 24] = b"\xff\xff\xff\x03"  # 64 MB, it says
        if number % 19 == 7:
            content[entry + 8] |= 1  # encrypted, it says
        lengths = (int.from_bytes(content[entry + first : entry + first + 2], "little") for first in (28, 30, 32))
        entry += 46 + sum(lengths)
    path.write_bytes(content)
    return names


@pytest.mark.parametrize("ordered", [True, False])
def test_pictures_of_an_odd_zip_have_the_same_bytes_or_reasons_as_from_disk(bucket, tmp_path, line, ordered):
    names = [*odd_zip(tmp_path / "odd.zip"), "absent.jpg", "../out.jpg", "p1.jpg"]
    if not ordered:
        random.Random(7).shuffle(names)
    bucket.write("odd.zip", (tmp_path / "odd.zip").read_bytes())
    with closing(open_pictures([tmp_path / "odd.zip"])) as here:
        expected = [here.read(name) for name in names]
    with closing(open_pictures([storage.mirror_of(bucket.uri("odd.zip"))])) as there:
        turns = list(ahead.in_turn(names, there.begin))
        assert [name for name, _ in turns] == names
        assert [begun if isinstance(begun, str) else begun.read() for _, begun in turns] == expected
    reasons = {one for one in expected if isinstance(one, str)}
    assert reasons == {"file_missing", "file_outside_source", "picture_not_readable"}
    assert 15 < sum(isinstance(one, bytes) for one in expected) < 50


def test_no_more_is_fetched_before_its_turn_than_may_be(uri, line, monkeypatch):
    monkeypatch.setattr(ahead, "MOST_PICTURES", 3)
    monkeypatch.setattr(ahead, "LONGEST_RANGE_BYTES", 1)
    given = resolve(uri)
    rows = read_source(given)
    first = next(rows)
    moved = 0
    while moved != line.down_bytes:  # until nothing comes any more
        moved = line.down_bytes
        time.sleep(0.5)
    [*others] = rows
    assert len([first, *others]) == PHOTOS
    assert line.down_bytes - moved > 6 * 150_000
    assert moved < 2 * READ_AHEAD_BYTES + 5 * 250_000


def test_neighbours_in_a_zip_are_fetched_by_one_request(bucket, tmp_path, front):
    path = tmp_path / "small.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(100):
            file.writestr(f"{number:03}.jpg", random.Random(number).randbytes(5000))
    bucket.write("small.zip", path.read_bytes())
    asked = []
    with closing(open_pictures([storage.mirror_of(bucket.uri("small.zip"))])) as there:
        front.refuse = lambda method, path, headers: asked.append(headers["Range"]) if "Range" in headers else None
        read = [begun.read() for _, begun in list(ahead.in_turn(list(there.names()), there.begin))]
    assert read == [random.Random(number).randbytes(5000) for number in range(100)]
    assert len(asked) == 1
