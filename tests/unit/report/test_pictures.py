import base64
import io
import os
from pathlib import Path

from PIL import Image
from report_inputs import png

from globe.report.pictures import THUMBNAIL_PX, thumbnails


def image_of(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_small_pictures_are_embedded_without_loss(pictures: Path) -> None:
    found = thumbnails(pictures, ["p3", "p11", "unknown"])
    assert set(found) == {"p3", "p11"}
    assert image_of(found["p3"]).size == (56, 56)
    assert image_of(found["p3"]).getpixel((5, 5)) == (60, 90, 40)


def test_photos_become_small_jpegs_without_metadata(tmp_path: Path) -> None:
    noise = Image.frombytes("RGB", (1600, 1200), os.urandom(1600 * 1200 * 3))
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    noise.save(tmp_path / "photo.jpg", exif=exif)
    url = thumbnails(tmp_path, ["photo"])["photo"]
    assert url.startswith("data:image/jpeg;base64,")
    assert image_of(url).size == (THUMBNAIL_PX, THUMBNAIL_PX * 3 // 4)
    assert not image_of(url).getexif()
    assert len(url) < 60_000


def test_files_are_found_by_id_with_and_without_ending(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "b").write_bytes(png(2))
    assert set(thumbnails(tmp_path, ["a", "a.png", "b"])) == {"a", "a.png", "b"}


def test_an_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(1))
    inside = tmp_path / "pictures"
    inside.mkdir()
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    assert thumbnails(inside, ["../secret", "../secret.png", str(tmp_path / "secret.png"), "link"]) == {}


def test_a_broken_picture_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(png(1))
    (tmp_path / "broken.png").write_bytes(png(1)[:60])
    (tmp_path / "text.png").write_bytes(b"<svg onload='alert(1)'/>")
    assert set(thumbnails(tmp_path, ["broken", "good", "text"])) == {"good"}


def test_no_folder_gives_no_pictures(tmp_path: Path) -> None:
    assert thumbnails(None, ["a"]) == thumbnails(tmp_path / "gone", ["a"]) == {}
