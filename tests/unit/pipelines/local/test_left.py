"""What a stage has left is read as anybody's: no pipe is waited for, no link followed, no more read than there is room for."""

import os

import pytest

from pipelines.local.left import end_of, open_left


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path), lambda path: None])
def test_only_regular_files_are_read(tmp_path, make):
    make(tmp_path / "left")
    with pytest.raises(OSError, match="left"):
        open_left(tmp_path / "left")
    assert end_of(tmp_path / "left", 10) == b""


def test_of_a_long_file_its_end_is_read(tmp_path):
    (tmp_path / "left").write_bytes(b"0123456789")
    os.truncate(tmp_path / "left", 1 << 40)
    with (tmp_path / "left").open("ab") as file:
        file.write(b"end")
    assert end_of(tmp_path / "left", 4) == b"\0end"
    assert end_of(tmp_path / "left", 0) == b""
