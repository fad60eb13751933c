"""Trees: which files make one, and what is believed of a record."""

import pytest

from globe.storage.effort import Damaged
from globe.storage.trees import files_below, read_tree
from globe.storage.uris import Uri

BASE, SHA256 = Uri("bucket", "store/toy/k"), "0" * 64


def test_a_record_of_a_tree_is_read_back():
    record = {"tree": "0123456789ab", "files": {"a/b": [SHA256, 3], "c": [SHA256, 4]}}
    tree = read_tree(BASE, record, "here")
    assert (str(tree.uri), tree.size, tree.below("a")) == ("s3://bucket/store/toy/k/0123456789ab", 7, ["a/b"])
    assert tree.record() == record | {"uri": str(tree.uri)}


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"tree": "../x", "files": {}}, {"tree": "0123456789ab", "files": {"../x": [SHA256, 1]}}]
    + [{"tree": "0123456789ab", "files": {"x": kept}} for kept in (["0", 1], [SHA256, -1], [SHA256], 1)],
)
def test_any_other_record_is_refused(record):
    with pytest.raises(Damaged):
        read_tree(BASE, record, "here")


def test_files_that_somebody_is_writing_and_folders_behind_links_are_no_part(tmp_path):
    for name in ("a/b.txt", "c.txt", "c.txt.12.tmp", ".0123.partial", "skipped/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "round").symlink_to(tmp_path)
    found = files_below(tmp_path, lambda name: name == "skipped")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["c.txt", "a/b.txt"]
