"""Lists of a result's files: which files they name, and what is believed of them."""

import pytest

from globe.storage.contents import as_record, below, is_verified, list_files, read_files, require
from globe.storage.effort import Damaged, Effort

SHA256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"


def test_a_list_is_made_written_and_read_back(tmp_path):
    for name in ("a", "b/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    files = list_files(tmp_path, [tmp_path / "a", tmp_path / "b" / "c"], Effort())
    assert files == read_files(as_record(files), "here") == {"a": (SHA256, 1), "b/c": (SHA256, 1)}
    assert (below(files, ""), below(files, "b"), below(files, "b/")) == (["a", "b/c"], ["b/c"], [])
    require(tmp_path, files, files)


@pytest.mark.parametrize("record", [None, [], 3, {"../x": [SHA256, 1]}, {"x": ["0", 1]}, {"x": [SHA256, -1]}, {"x": [SHA256]}])
def test_any_other_record_is_refused(record):
    with pytest.raises(Damaged, match="here"):
        read_files(record, "here")


def test_each_way_of_not_being_the_file_is_told(tmp_path):
    files = {"x": (SHA256, 1)}
    with pytest.raises(Damaged, match="x: is gone"):
        require(tmp_path, files, files)
    (tmp_path / "x").write_text("y")
    with pytest.raises(Damaged, match=r"x: .* was changed"):
        require(tmp_path, files, files)
    (tmp_path / "x").unlink()
    (tmp_path.parent / "outside").write_text("x")
    (tmp_path / "x").symlink_to(tmp_path.parent / "outside")
    with pytest.raises(Damaged, match="a link leads out of the result"):
        require(tmp_path, files, files)


def test_a_file_that_was_written_to_is_hashed_again(tmp_path):
    file = tmp_path / "x"
    file.write_text("x")
    assert is_verified(file, SHA256, 1)
    file.write_text("y")
    assert not is_verified(file, SHA256, 1)
    file.unlink()
    assert not is_verified(file, SHA256, 1)
