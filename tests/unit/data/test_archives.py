"""Zips and tars that are listed as a stream give what zipfile and tarfile give of the whole; those that lie do no harm."""

import io
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traced import traced_peak_bytes

from globe.data import archives
from globe.data.archives import DAMAGED, read_from_tar, read_zipped, tar_files, zip_files
from globe.data.images import MAX_BYTES

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
CONTENTS = st.binary(max_size=40) | st.sampled_from([b"PK\6\7" + bytes(16), b"PK\5\6" + bytes(18), b"a" * 3000])
METHODS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])


@st.composite
def zips(draw):
    """A zip with names of all kinds, some twice, comments, extra fields, and what may stand before it."""
    out = io.BytesIO(draw(st.sampled_from([b"", b"#!/bin/sh\n"])))
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as archive:
        for name, content, method in draw(st.lists(st.tuples(NAMES, CONTENTS, METHODS), max_size=6)):
            info = zipfile.ZipInfo(name)
            info.compress_type, info.comment = method, draw(st.sampled_from([b"", b"PK\1\2", b"x" * 70]))
            info.extra = draw(st.sampled_from([b"", struct.pack("<2H4s", 0xCAFE, 4, b"PK\5\6")]))
            with archive.open(info, "w", force_zip64=draw(st.booleans())) as file:
                file.write(content)
        archive.comment = draw(st.sampled_from([b"", b"a comment", b"PK\6\7" + bytes(20)]))
    return out.getvalue()


def whole(data):
    """What zipfile gives of a zip: each file's name and content, of files of one name the last one's; None if it refuses it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [one for one in archive.infolist() if not one.is_dir()]
            return [(one.filename, either(lambda one=one: archive.open(one).read())) for one in infos]
    except DAMAGED:
        return None


def streamed(data):
    """The same, as it is read here."""
    file = io.BytesIO(data)
    try:
        return [(one.name, either(lambda one=one: read_zipped(file, one))) for one in list(zip_files(file))]
    except DAMAGED:
        return None


def either(read):
    """What a read gives, or None if it raises what it may."""
    try:
        return read()
    except DAMAGED:
        return None


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(zips())
def test_a_zip_has_the_files_that_zipfile_finds(data):
    assert streamed(data) == whole(data) is not None


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(zips(), st.data())
def test_of_a_damaged_zip_a_file_is_what_zipfile_finds_or_refused(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    damaged = bytes(damaged[: draw.draw(st.integers(0, len(data)) | st.just(len(data)))])
    found, known = streamed(damaged), whole(damaged)
    if found is not None and known is not None:
        assert [name for name, _ in found] == [name for name, _ in known]
        assert all(content in (None, right) for (_, content), (_, right) in zip(found, known, strict=True))


def packed(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("lost", [1, 30, 100, 150])
def test_a_zip_that_is_cut_short_is_refused_and_not_taken_for_the_zip_that_is_stored_in_it(lost):
    data = packed({"a.jpg": b"a", "more.zip": packed({"b.jpg": b"b"}), "c.jpg": b"c"})
    assert [name for name, _ in streamed(data)] == ["a.jpg", "more.zip", "c.jpg"]
    with pytest.raises(zipfile.BadZipFile, match="cut short"):
        list(zip_files(io.BytesIO(data[:-lost])))
    assert streamed(data + b"\0\n") == streamed(data)  # as some transfers leave it


@pytest.mark.parametrize("block_bytes", [110, 127, 500, 2**20])
def test_a_directory_is_the_same_however_it_is_cut_into_blocks(monkeypatch, block_bytes):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(200):
            archive.writestr("x" * (number % 50) + f"{number}.jpg", bytes([number]) * number)
    monkeypatch.setattr(archives, "_BLOCK_BYTES", block_bytes)
    assert streamed(out.getvalue()) == whole(out.getvalue())
    assert len(streamed(out.getvalue())) == 200


def test_a_file_beyond_4_gib_and_a_directory_of_more_than_65535_files_are_read(tmp_path):
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.seek(2**32 + 12345)  # a hole, which takes no room on disk
        with zipfile.ZipFile(file, "w") as archive:
            for number in range(2**16 + 1):
                archive.writestr(zipfile.ZipInfo(f"{number}.jpg"), b"%d" % number)
    with path.open("rb") as file:
        files = list(zip_files(file))
        assert [one.name for one in files] == [f"{number}.jpg" for number in range(2**16 + 1)]
        assert files[0].at == 2**32 + 12345
        assert [read_zipped(file, files[number]) for number in (0, 2**16)] == [b"0", b"65536"]


def zip_of(path, count):
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(f"images/{number}.jpg"), b"")
    return path


def tar_of(path, count):
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            tar.addfile(tarfile.TarInfo(f"images/{number}.jpg"))
            tar.members.clear()
    return path


def growth(listed, path, count, runs=1):
    """How much more memory it takes to list twice as many files."""

    def peak_bytes(files):
        archive = path(files)

        def work():
            with archive.open("rb") as file:
                assert sum(1 for _ in listed(file)) == files

        return traced_peak_bytes(work, runs)

    return peak_bytes(2 * count) / peak_bytes(count)


@pytest.mark.parametrize(
    ("made", "listed", "whole", "count"),
    [
        (zip_of, zip_files, lambda file: zipfile.ZipFile(file).infolist(), 10_000),
        (tar_of, tar_files, lambda file: tarfile.TarFile(fileobj=file), 2_000),
    ],
)
def test_listing_more_files_takes_no_more_memory(tmp_path, made, listed, whole, count):
    def path(files):
        return made(tmp_path / str(files), files)

    assert growth(whole, path, count) > 1.5
    assert growth(listed, path, count, runs=3) < 1.1  # a tar takes 7 kB


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=6), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
)
def test_a_tar_has_the_files_that_tarfile_finds(entries, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name * 9)  # beyond 100 bytes, a name has a header of its own
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo(f"link to {name}")
            link.type, link.linkname = tarfile.SYMTYPE, name
            tar.addfile(link)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        known = [(one.name, tar.extractfile(one).read()) for one in tar if one.isreg()]
    out.seek(0)
    assert [(one.name, read_from_tar(out, one)) for one in list(tar_files(out))] == known
    assert len(known) == len(entries)


def header(size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo("a.jpg")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        header(3) + b"abc".ljust(512, b"\0") + header(-1024) + bytes(1024),  # leads back to itself, for ever
        header(3) + b"abc".ljust(512, b"\0") + header(-1),
        header(-(2**70), tarfile.GNUTYPE_LONGNAME) + bytes(1024),
        header(2**40, tarfile.GNUTYPE_LONGNAME) + bytes(1024),
        header(2**30, tarfile.XHDTYPE) + bytes(4 * 2**20),
    ],
)
def test_a_tar_whose_headers_lie_about_their_length_is_refused(data):
    def work():
        with pytest.raises(DAMAGED):
            list(tar_files(io.BytesIO(data)))

    assert traced_peak_bytes(work) < 2 * 2**20


def test_a_packed_file_that_lies_about_its_length_is_no_more_than_a_picture_may_have():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(MAX_BYTES + 5_000_000))
    (one,) = zip_files(out)
    assert len(read_zipped(out, one)) == MAX_BYTES + 1
    for lie in ({"packed": 2**62}, {"size": 2**62}, {"at": 2**62}, {"at": -5}):
        content = either(lambda lie=lie: read_zipped(out, one._replace(**lie)))
        assert content is None or len(content) <= MAX_BYTES + 1
