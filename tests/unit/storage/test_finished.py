"""Which folder of a store is a finished stage's, and what its record is believed of."""

import json
import os

import pytest

from globe.errors import GlobeError
from globe.signing import place_in_store
from globe.storage.effort import Effort
from globe.storage.finished import RESULT, finished_folder_of, have, read_record, require_files
from globe.storage.results import publish


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "sft" / "0123456789abcdef"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "weights").write_text("w")
    assert publish(folder, {"stage": "sft"}, (), Effort())
    return folder


def test_a_path_in_a_finished_stages_folder_belongs_to_it(folder):
    for path in (folder, folder / "checkpoint", folder / "checkpoint" / "weights", folder / "absent"):
        assert finished_folder_of(path) == folder
    for path in (folder.parent, folder.with_name("0123456789abcde0"), folder / "x" / ".." / ".." / "y"):
        assert finished_folder_of(path.resolve()) is None
    assert place_in_store(RESULT, folder) == "result sft/0123456789abcdef"


def test_files_are_what_the_record_lists_and_what_the_caller_knows(folder):
    sha256 = read_record(folder)["stored"]["files"]["checkpoint/weights"][0]
    have(folder, folder / "checkpoint", {"weights": sha256})
    with pytest.raises(GlobeError, match="weights is not what the manifest names: the stage was repeated since"):
        have(folder, folder / "checkpoint", {"weights": "0" * 64})
    with pytest.raises(GlobeError, match="no such file in the result of stage sft"):
        have(folder, folder / "checkpoint" / "added", {})
    (folder / "checkpoint" / "weights").write_text("v")
    require_files(folder, read_record(folder), lambda names: [])
    with pytest.raises(GlobeError, match="repeat stage sft, its result is damaged"):
        require_files(folder, read_record(folder), list)


@pytest.mark.parametrize("stored", [1, {}, {"files": [1]}, {"files": {"../x": ["0" * 64, 1]}}])
def test_a_damaged_list_is_one_clear_error(folder, stored):
    (folder / "result.json").write_text(json.dumps({"stored": stored}))
    with pytest.raises(GlobeError, match=r"result\.json"):
        have(folder, folder / "checkpoint", {})


def test_a_pipe_in_place_of_a_record_is_damage_and_nothing_waits_at_it(tmp_path):
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(GlobeError, match="damaged"):
        read_record(tmp_path)
