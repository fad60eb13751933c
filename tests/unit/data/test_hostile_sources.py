"""One source with every kind of hostile input: each costs itself and nothing else, wherever the pictures lie."""

import io
import itertools
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from globe.data.images import MAX_BYTES
from globe.data.ingest import counted
from globe.data.named import given_path
from globe.data.sources import SourceReport, read_source

_shades = itertools.count(1)


def picture(kind="JPEG", mode="RGB", size=(64, 48), **options):
    """A picture like no other."""
    image = Image.new(mode, size)
    image.paste(Image.new(mode, (8, 8), _colour(mode, next(_shades))), (0, 0))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _colour(mode, shade):
    return {"CMYK": (shade, 90, 30, 0), "I;16": 257 * shade, "LA": (shade, 128)}.get(
        mode, (shade, 90, 30)[: len(mode)] * (mode != "1")
    )


def animation():
    frames = [Image.new("RGB", (64, 48), (next(_shades), 200, 10)) for _ in range(3)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return out.getvalue()


def huge():
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


GOOD = '48.86,2.35,France,train,"says ""hi"",\n\nfoto, é"'
PICTURES = [
    # name, its content, and the reason why it can't be used
    ("plain.jpg", picture, ""),
    ("cmyk.jpg", lambda: picture(mode="CMYK"), ""),
    ("deep.png", lambda: picture("PNG", "I;16"), ""),
    ("animated.webp", animation, ""),
    ("a png.jpg", lambda: picture("PNG"), ""),
    ("with a page behind it.jpg", lambda: picture() + b"<html><script>alert(1)</script>", ""),
    ("anim.gif", lambda: picture("GIF", "P"), "unsupported_picture_type"),
    ("tiff.jpg", lambda: picture("TIFF"), "unsupported_picture_type"),
    ("drawing.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_picture_type"),
    ("page.jpg", lambda: b"<!doctype html><title>404</title>", "picture_not_readable"),
    ("text.jpg", lambda: b"hello", "picture_not_readable"),
    ("empty.jpg", lambda: b"", "picture_not_readable"),
    ("truncated.jpg", lambda: picture(size=(640, 480))[:900], "picture_not_readable"),
    ("damaged.png", lambda: picture("PNG").replace(b"IDAT", b"IDAX"), "picture_not_readable"),
    ("bomb.jpg", lambda: b"\xff\xd8\xff" + bytes(MAX_BYTES + 1000), "picture_not_readable"),
    ("huge.png", huge, "picture_of_too_many_pixels"),
    ("huge.heic", lambda: b"\0\0\0\x18ftypheic" + bytes(5000), "picture_not_readable"),
]
LINES = [
    # a line of the table, the id under which it is refused, and the reason
    ("../secret.jpg,48.86,2.35,France,train", "../secret.jpg", "file_outside_source"),
    ("/etc/passwd,48.86,2.35,France,train", "/etc/passwd", "file_outside_source"),
    ("link.jpg,48.86,2.35,France,train", "link.jpg", None),  # its reason depends on where it lies
    ("gone.jpg,48.86,2.35,France,train", "gone.jpg", "file_missing"),
    (".,48.86,2.35,France,train", ".", "bad_file_name"),
    ("nan.jpg,NaN,2.35,France,train", "nan.jpg", "position_not_a_number"),
    ("inf.jpg,48.86,-inf,France,train", "inf.jpg", "position_not_a_number"),
    ('comma.jpg,"48,86",2.35,France,train', "comma.jpg", "position_not_a_number"),
    ("range.jpg,48.86,202.35,France,train", "range.jpg", "position_out_of_range"),
    ("null.jpg,0,0,France,train", "null.jpg", "position_is_null_island"),
    ("nowhere.jpg,,,France,train", "nowhere.jpg", "no_position"),
    ("swapped.jpg,2.35,48.86,France,train", "swapped.jpg", "position_outside_country"),
    ("plain.jpg,48.86,2.35,France,train", "plain.jpg", "duplicate_id"),
    ("copy.jpg,48.86,2.35,France,train", "copy.jpg", "duplicate_picture"),
    (",48.86,2.35,France,train", "row 33", "no_file_named"),
    ("split.jpg,48.86,2.35,France,held-out?", "split.jpg", "unknown_split"),
    ("more.jpg,48.86,2.35,France,train,and,more", "more.jpg", "wrong_number_of_columns"),
    ('"quo"ted.jpg,48.86,2.35,France,train', "row 36", "row_not_csv"),
    ("caf\udce9.jpg,48.86,2.35,France,train", "row 37", "row_not_utf8"),
    ("x" * 1100 + ",48.86,2.35,France,train", "x" * 1100, "bad_file_name"),
]
NEEDED = ("nan.jpg", "inf.jpg", "comma.jpg", "range.jpg", "null.jpg", "nowhere.jpg", "swapped.jpg", "split.jpg", "more.jpg")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the table and the pictures, and a picture beside it that is nobody's business."""
    folder = tmp_path_factory.mktemp("hostile") / "photos"
    folder.mkdir()
    (folder.parent / "secret.jpg").write_bytes(picture())
    for name, content, _ in PICTURES:
        (folder / name).write_bytes(content())
    for name in NEEDED:
        (folder / name).write_bytes(picture())
    (folder / "copy.jpg").write_bytes((folder / "plain.jpg").read_bytes())
    (folder / "link.jpg").symlink_to("../secret.jpg")
    lines = [f"{name},{GOOD}" for name, _, _ in PICTURES] + [line for line, _, _ in LINES]
    (folder / "t.csv").write_bytes("\n".join(["image,lat,lon,country,split,note", *lines, ""]).encode("utf-8", "surrogateescape"))
    return folder


def in_folder(folder: Path, target: Path) -> Path:
    return folder


def in_zip(folder: Path, target: Path) -> Path:
    """The link is what its bytes say, and one name leads out."""
    with zipfile.ZipFile(target / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            if path.is_symlink():
                link = zipfile.ZipInfo(path.name)
                link.external_attr = 0o120777 << 16
                archive.writestr(link, str(path.readlink()))
            else:
                archive.write(path, path.name)
        archive.write(folder.parent / "secret.jpg", "../secret.jpg")
    return target / "p.zip"


def in_tar(folder: Path, target: Path) -> Path:
    with tarfile.open(target / "p.tar", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
        archive.add(folder.parent / "secret.jpg", "../secret.jpg")
    return target / "p.tar"


@pytest.mark.parametrize(
    ("place", "link"),
    [(in_folder, "file_outside_source"), (in_zip, "picture_not_readable"), (in_tar, "file_missing")],
)
def test_each_hostile_row_is_quarantined_with_its_reason_and_the_rest_goes_on(made, tmp_path, place, link):
    given, report = given_path(place(made, tmp_path)), SourceReport()
    rows = list(read_source(given, report))
    assert [row.id for row in rows] == [name for name, _, reason in PICTURES if not reason]
    refused = {(row_id, reason or link) for _, row_id, reason in LINES} | {(name, why) for name, _, why in PICTURES if why}
    assert {(row_id, reason) for reason, ids in report.quarantined.items() for row_id in ids} == refused
    assert report.read == report.listed == len(PICTURES) + len(LINES) == len(rows) + report.refused
    record = counted(given, report, len(rows))
    assert record.rows == record.usable + sum(one.n for one in record.unusable.values())
    for row in rows:
        assert row.image.endswith((b"\xff\xd9", b"IEND\xaeB`\x82")), "something follows the picture"
        with Image.open(io.BytesIO(row.image)) as image:
            assert (image.mode, image.getexif()) == ("RGB", {})
