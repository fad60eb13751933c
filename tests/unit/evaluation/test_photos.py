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
    found = photos_in([tmp_path / "sub" / "d.txt", tmp_path, tmp_path / "missing"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "sub/d.txt", "a.JPEG", "b.jpg", "z.png", "sub/c.webp", "missing",
    ]  # fmt: skip


def test_a_folder_without_a_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photo in this folder"):
        photos_in([tmp_path])
