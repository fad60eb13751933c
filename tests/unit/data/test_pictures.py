"""Pictures by name give the same bytes from a folder, a zip and a tar, and no name or archive can do harm."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from globe.data import index
from globe.data.images import MAX_BYTES
from globe.data.pictures import UNREADABLE, is_picture, open_pictures
from globe.errors import GlobeError, InputError

FILES = {
    "set/00/a.jpg": b"first",
    "set/01/b.jpg": b"second",
    "set/00/twin.jpg": b"x",
    "set/01/twin.jpg": b"y",
    "images/c.png": b"third",
}


def folder(root):
    for name, data in FILES.items():
        (root / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "folder" / name).write_bytes(data)
    return root / "folder"


def zipped(root, files=FILES):
    with zipfile.ZipFile(root / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return root / "p.zip"


def tarred(root, files=FILES):
    with tarfile.open(root / "p.tar", "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return root / "p.tar"


@pytest.mark.parametrize("made", [folder, zipped, tarred])
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("set/00/a.jpg", b"first"),
        ("a.jpg", b"first"),  # by the end of its path
        ("b", b"second"),  # MP-16's tables have no suffix
        ("01/b.jpg", b"second"),
        ("c.png", b"third"),  # in images/
        ("01/twin.jpg", b"y"),
        ("twin.jpg", "several_files_of_that_name"),
        ("02/a.jpg", "file_missing"),  # another folder's picture of that name is not this one
        ("absent.jpg", "file_missing"),
        ("../p.zip", "file_outside_source"),
        ("set/../../p.zip", "file_outside_source"),
        ("/etc/passwd", "file_outside_source"),
        ("a\0.jpg", "bad_file_name"),
        ("x" * 2000, "bad_file_name"),
        (".", "bad_file_name"),
    ],
)
def test_a_name_finds_the_same_wherever_pictures_lie(tmp_path, made, name, found):
    pictures = open_pictures([made(tmp_path)])
    assert pictures.read(name) == found
    assert list(pictures.names()) == sorted(FILES)
    pictures.close()


@pytest.mark.parametrize("made", [zipped, tarred])
def test_a_large_archive_that_was_listed_before_is_not_listed_again_and_reads_the_same(tmp_path, monkeypatch, made):
    path = made(tmp_path)
    monkeypatch.setenv("GLOBE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "KEPT_FROM", 1)

    def all_of():
        with closing(open_pictures([path])) as pictures:
            return [(name, pictures.read(name)) for name in pictures.names()]

    assert all_of() == sorted(FILES.items())
    for lists in ("zip_files", "tar_files"):
        monkeypatch.setattr("globe.data.pictures." + lists, lambda file: pytest.fail("listed again"))
    assert all_of() == sorted(FILES.items())


@pytest.mark.parametrize("made", [zipped, tarred])
def test_an_archive_that_changes_after_it_was_listed_is_one_clear_error(tmp_path, made):
    before = made(tmp_path)
    pictures, written_ns = open_pictures([before]), before.stat().st_mtime_ns
    path = made(tmp_path, {"set/00/a.jpg": b"another"})
    os.utime(path, ns=(written_ns + 1, written_ns + 1))  # a coarse clock may not tell two writes in a row apart
    with pytest.raises(GlobeError, match=rf"{path.name}: changed while it was read; start again"):
        pictures.read("a.jpg")


def test_only_archives_that_hold_a_wanted_picture_are_opened(tmp_path):
    places = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        places.append(zipped(tmp_path / str(number), {f"{number}.jpg": b"%d" % number}))
    pictures = open_pictures(places)
    assert pictures.read("1.jpg") == b"1"
    held = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
    assert [str(place) in held for place in places] == [False, True, False]
    pictures.close()


def test_a_link_to_a_folder_is_not_followed_and_one_to_nowhere_is_a_file(tmp_path):
    root = folder(tmp_path)
    (root / "again").symlink_to(root / "set")
    (root / "itself").symlink_to(root / "itself")
    (root / "gone.jpg").symlink_to("nowhere")
    assert list(open_pictures([root]).names()) == sorted([*FILES, "gone.jpg", "itself"])


@pytest.mark.parametrize("made", [zipped, tarred])
def test_a_picture_whose_name_leads_out_of_an_archive_is_listed_and_refused(tmp_path, made):
    pictures = open_pictures([made(tmp_path, FILES | {"../out.jpg": b"fourth", ".hidden.jpg": b"fifth"})])
    listed = [name for name in pictures.names() if is_picture(name)]
    assert listed == sorted([*FILES, "../out.jpg"])
    assert {name: pictures.read(name) for name in listed} == FILES | {"../out.jpg": "file_outside_source"}
    pictures.close()


def test_several_places_are_read_as_one(tmp_path):
    one, other = zipped(tmp_path, {"00/a.jpg": b"1"}), tarred(tmp_path, {"01/b.jpg": b"2"})
    pictures = open_pictures([one, other])
    assert [pictures.read(name) for name in ("a.jpg", "b.jpg", "c.jpg")] == [b"1", b"2", "file_missing"]
    assert list(pictures.names()) == ["00/a.jpg", "01/b.jpg"]


@pytest.mark.parametrize("made", [zipped, tarred])
def test_of_a_huge_member_no_more_is_unpacked_than_a_picture_may_have(tmp_path, made):
    data = open_pictures([made(tmp_path, {"bomb.jpg": bytes(MAX_BYTES + 5_000_000)})]).read("bomb.jpg")
    assert len(data) == MAX_BYTES + 1


def test_links_in_a_tar_are_no_pictures(tmp_path):
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            entry = tarfile.TarInfo(f"link{kind.decode()}.jpg")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    assert list(open_pictures([tmp_path / "p.tar"]).names()) == []


def test_a_pipe_among_pictures_is_unreadable_and_waited_for_by_nobody(tmp_path):
    os.mkfifo(folder(tmp_path) / "pipe.jpg")
    assert open_pictures([tmp_path / "folder"]).read("pipe.jpg") == UNREADABLE


def test_a_damaged_member_is_unreadable_and_the_others_are_not(tmp_path):
    path = zipped(tmp_path, {"good.jpg": b"good" * 100, "bad.jpg": bytes(range(256)) * 40})
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("bad.jpg").header_offset + 40
    data = bytearray(path.read_bytes())
    data[at : at + 20] = b"\xff" * 20
    path.write_bytes(data)
    pictures = open_pictures([path])
    assert pictures.read("good.jpg") == b"good" * 100
    assert pictures.read("bad.jpg") == "picture_not_readable"


@pytest.mark.parametrize("damage", ["header", "cut in a header", "cut between files"])
def test_a_tar_whose_end_is_missing_is_refused(tmp_path, damage):
    """Python's tarfile takes the files before the damage for all there are; without a table nobody would miss the others."""
    path = tarred(tmp_path, {"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"})
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[1024:1100] = b"\xff" * 76
    path.write_bytes(data if damage == "header" else data[: 1300 if "in a header" in damage else 1024])
    with pytest.raises(InputError, match=r"p\.tar: .*cut short, or damaged in the middle"):
        open_pictures([path])


def test_what_cannot_be_read_picture_by_picture_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "p.tar.gz").write_bytes(gzip.compress(tarred(tmp_path).read_bytes()))
    (tmp_path / "damaged.zip").write_bytes(zipped(tmp_path).read_bytes()[:60])
    newer = bytearray(zipped(tmp_path, {"a.jpg": b"a"}).read_bytes())
    newer[newer.index(b"PK\1\2") + 6] = 168  # the version that is needed to extract it
    (tmp_path / "newer.zip").write_bytes(newer)
    (tmp_path / "notes.txt").write_text("no archive")
    for name, message in [
        ("p.tar.gz", "gunzip --keep p.tar.gz"),
        ("damaged.zip", "damaged"),
        ("newer.zip", "zip file version"),
        ("notes.txt", "damaged"),
        ("no", "no such"),
    ]:
        with pytest.raises(InputError, match=message):
            open_pictures([tmp_path / name])


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_of_a_file_that_unpacks_to_much_no_more_is_unpacked_than_a_picture_may_have(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", method) as archive:
        archive.writestr("bomb.jpg", bytes(300 * 2**20))
    code = (
        "import sys; from pathlib import Path; from globe.data.pictures import open_pictures;"
        "found = open_pictures([Path(sys.argv[1])]).read('bomb.jpg'); print(len(found));"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "bomb.zip")], capture_output=True, text=True, check=True)
    length, peak_kb = map(int, done.stdout.split())
    assert length <= MAX_BYTES + 1
    assert peak_kb < 250 * 1024
