"""Files are whole or not there, and JSON is written in one way."""

import json
import os
import time

import pytest

from globe.errors import GlobeError, InputError
from globe.files import digests_kept, file_sha256, json_line, json_text, output_folder, write_atomically, write_json, writing_to

CONTENT = {"b": "Zürich", "a": [1, None], "名": {"y": 1.5, "x": "a\u2028b"}}


def test_equal_contents_are_equal_files_in_their_own_script_and_end_with_a_line(tmp_path):
    write_json(tmp_path / "a.json", CONTENT)
    write_json(tmp_path / "b.json", dict(reversed(CONTENT.items())))
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.json").read_text(encoding="utf-8") == json_text(CONTENT)
    assert json.loads(text) == CONTENT
    assert "Zürich" in text
    assert text.endswith("}\n")
    assert file_sha256(tmp_path / "a.json") == file_sha256(tmp_path / "b.json")


def test_a_record_is_one_line_whose_keys_keep_their_order():
    line = json_line(CONTENT | {"c": "two\nlines"})
    assert (line.count("\n"), list(json.loads(line))) == (1, ["b", "a", "名", "c"])


def test_half_a_surrogate_pair_is_written_and_read_back(tmp_path):
    odd = os.fsdecode(b"caf\xe9.jpg")
    write_json(tmp_path / "a.json", {"name": odd})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": odd}
    assert json.loads(json_line([odd]).encode()) == [odd]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "a.txt", "\udce9")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_folder_for_results_is_made_and_a_file_is_none(tmp_path):
    assert output_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out .*file: is not a folder"):
        output_folder(tmp_path / "file")


def test_a_folder_on_a_full_disk_is_told_and_left_as_it_was(tmp_path):
    (tmp_path / f".globe-{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(GlobeError, match=r"--out .*: No space left on device"):
        output_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_the_machine_refuses_names_the_folder(tmp_path):
    with pytest.raises(GlobeError, match=f"{tmp_path}: full; what was finished is kept there"), writing_to(tmp_path):
        raise OSError("full")


def test_a_large_file_is_read_once_for_each_version_of_it(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(bytes(200_000_000))
    started = time.process_time()
    first = file_sha256(path)
    once_s = time.process_time() - started
    started = time.process_time()
    assert {file_sha256(path) for _ in range(20)} == {first}
    assert time.process_time() - started < once_s
    state = path.stat()
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file_sha256(path) != first


def test_removing_a_second_name_costs_no_second_reading_and_hides_no_change(tmp_path):
    path, second = tmp_path / "weights", tmp_path / "second"
    path.write_bytes(bytes(200_000_000))
    second.hardlink_to(path)
    started = time.process_time()
    first = file_sha256(path)
    once_s = time.process_time() - started
    with digests_kept([path]):
        second.unlink()
    started = time.process_time()
    assert file_sha256(path) == first
    assert time.process_time() - started < once_s / 4
    path.write_bytes(bytes(199_999_999) + b"1")
    with digests_kept([path]):
        pass
    assert (changed := file_sha256(path)) != first
    for text in ("replaced", "written"):
        with digests_kept([path]):
            write_atomically(path, text) if text == "replaced" else path.write_text(text)
        assert file_sha256(path) not in (first, changed)
        changed = file_sha256(path)


def test_two_versions_within_one_tick_of_the_clock_are_told_apart(tmp_path):
    path, digests = tmp_path / "x", []
    for letter in "abcdefgh":
        path.write_text(letter)
        digests.append(file_sha256(path))
    assert len(set(digests)) == 8
