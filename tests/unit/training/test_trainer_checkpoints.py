"""A trainer's checkpoint counts when all of it is there: kills come while one is written, and while one is removed."""

import os
import time
from pathlib import Path

import pytest

from globe.training.trainer_checkpoints import (
    MARK_FILE,
    last_checkpoint,
    mark_whole,
    read_mark,
    remove_older,
    remove_torn,
)


def checkpoint(output: Path, step: int, *, marked: bool = True) -> Path:
    folder = output / f"checkpoint-{step}"
    (folder / "global_step1").mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{}")
    (folder / "optimizer.pt").write_bytes(b"moments")
    (folder / "global_step1" / "rank0.pt").write_bytes(b"shard")
    if marked:
        mark_whole(folder, step, 200)
    return folder


def test_training_goes_on_from_the_newest_whole_checkpoint(tmp_path):
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 110, marked=False)  # everything is there, but nobody said that it was written to its end
    (tmp_path / "checkpoint-120").mkdir()
    (tmp_path / "last-checkpoint").symlink_to("checkpoint-9")
    assert last_checkpoint(tmp_path) == newest


def test_without_a_checkpoint_training_starts_anew(tmp_path):
    assert last_checkpoint(tmp_path / "nothing") is None


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "optimizer.pt").unlink(),
    lambda folder: (folder / "global_step1" / "rank0.pt").write_bytes(b"sha"),
    lambda folder: (folder / MARK_FILE).write_text('{"step": 20,'),
    lambda folder: (folder / MARK_FILE).write_text('{"step": 20}'),
])  # fmt: skip
def test_a_checkpoint_that_is_not_as_its_mark_says_is_passed_over_and_removed(tmp_path, damage):
    older, newer = checkpoint(tmp_path, 10), checkpoint(tmp_path, 20)
    damage(newer)
    assert last_checkpoint(tmp_path) == older
    remove_torn(tmp_path)
    assert older.is_dir()
    assert not newer.exists()


def test_the_mark_says_which_step_of_how_many_it_is(tmp_path):
    mark = read_mark(checkpoint(tmp_path, 30))
    assert (mark.step, mark.max_steps) == (30, 200)
    assert set(mark.files) == {"trainer_state.json", "optimizer.pt", "global_step1/rank0.pt"}


def test_the_two_newest_by_their_steps_stay_whatever_the_clock_says(tmp_path):
    folders = [checkpoint(tmp_path, step) for step in (8, 9, 10)]
    tomorrow = time.time() + 86_400
    os.utime(folders[0], (tomorrow, tomorrow))
    remove_older(folders[2])
    assert [folder.is_dir() for folder in folders] == [False, True, True]


def test_a_mark_that_is_being_written_by_another_is_no_file_of_the_checkpoint(tmp_path):
    folder = checkpoint(tmp_path, 10, marked=False)
    (folder / f"{MARK_FILE}.123.tmp").write_text("{")
    mark_whole(folder, 10, 20)
    (folder / f"{MARK_FILE}.123.tmp").unlink()
    assert read_mark(folder) is not None
