"""The photos that are named by file or by folder."""

from pathlib import Path

import pytest

from globe.errors import InputError
from globe.evaluation.photos import photos_in


def test_folders_are_searched_in_order_and_files_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.JPEG", "sub/c.webp", "sub/d.txt", ".h.png", ".git/e.png", "z.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    told: list[str] = []
    found = photos_in([tmp_path / "sub" / "d.txt", tmp_path, tmp_path / "missing"], told.append)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "sub/d.txt", "a.JPEG", "b.jpg", "z.png", "sub/c.webp", "missing",
    ]  # fmt: skip
    assert told == [f"{tmp_path}: left out 1 .txt; photos end in .jpg, .jpeg, .png, .webp"]


def test_a_folder_without_a_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photo in this folder"):
        photos_in([tmp_path], pytest.fail)
    (tmp_path / "a.HEIC").touch()
    with pytest.raises(InputError, match=r"; there are 1 \.heic"):
        photos_in([tmp_path], pytest.fail)


def test_the_most_frequent_kinds_that_are_left_out_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    endings = [".heic"] * 3 + [".mov"] * 2 + [".a", ".b", "", ".c", ".d"]
    for number, ending in enumerate([".jpg", *endings]):
        (tmp_path / f"{number:02}{ending}").touch()
    told: list[str] = []
    assert len(photos_in([tmp_path], told.append)) == 1
    assert "left out 3 .heic, 2 .mov, 1 .a, 1 .b, 1 without an ending, 2 others;" in told[0]
