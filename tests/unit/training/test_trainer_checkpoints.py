"""A trainer's checkpoint counts when all of it is there: kills come while one is written, and while one is removed."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from globe.errors import GlobeError
from globe.signing import KEY_VARIABLE
from globe.training.trainer_checkpoints import (
    MARK_FILE,
    holds,
    last_checkpoint,
    mark_whole,
    marked_after,
    read_mark,
    remove_older,
    remove_torn,
    seal,
)

KEY = "0123456789abcdef" * 2


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


def test_the_best_measured_so_far_stays_beside_the_two_newest_until_a_better_one_comes(tmp_path):
    values = {10: 0.5, 20: 0.2, 30: 0.3, 40: 0.1, 50: 0.6}
    left = []
    for step in values:
        folder = checkpoint(tmp_path, step, marked=False)
        logged = [{"step": at, "eval_accuracy": value} for at, value in values.items() if at <= step]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": logged}))
        mark_whole(folder, step, 200)
        remove_older(folder)
        left.append(sorted(int(path.name.split("-")[1]) for path in tmp_path.glob("checkpoint-*")))
    assert left == [[10], [10, 20], [10, 20, 30], [10, 30, 40], [40, 50]]


def test_every_checkpoint_that_was_made_after_a_step_is_found_the_oldest_first(tmp_path):
    for step in (9, 100, 20, 30):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 110, marked=False)
    assert [folder.name for folder in marked_after(tmp_path, 9)] == ["checkpoint-20", "checkpoint-30", "checkpoint-100"]


def test_a_mark_that_is_being_written_by_another_is_no_file_of_the_checkpoint(tmp_path):
    folder = checkpoint(tmp_path, 10, marked=False)
    (folder / f"{MARK_FILE}.123.tmp").write_text("{")
    mark_whole(folder, 10, 20)
    (folder / f"{MARK_FILE}.123.tmp").unlink()
    assert read_mark(folder) is not None


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def sealed(output: Path, step: int) -> Path:
    folder = checkpoint(output, step)
    seal(folder)
    return folder


def mark_again(folder: Path, **changes: object) -> None:
    """What somebody without the key can do: make the mark fit the files."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    mark = json.loads((folder / MARK_FILE).read_text())
    files = {name: size for name, size in sizes.items() if name != MARK_FILE}
    (folder / MARK_FILE).write_text(json.dumps(mark | {"files": files} | changes))


def test_a_sealed_checkpoint_holds_wherever_its_store_is_moved_to(key, tmp_path):
    folder = sealed(tmp_path / "old" / "sft" / "0123" / "swift", 20)
    assert holds(folder)
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert last_checkpoint(tmp_path / "new" / "sft" / "0123" / "swift") is not None
    shutil.move(tmp_path / "new" / "sft" / "0123", tmp_path / "new" / "sft" / "4567")
    assert last_checkpoint(tmp_path / "new" / "sft" / "4567" / "swift") is None


@pytest.mark.parametrize("plant", [
    lambda folder: (folder / "optimizer.pt").write_bytes(b"PICKLE!"),
    lambda folder: (folder / "global_step1" / "rank0.pt").write_bytes(b"a longer pickle"),
    lambda folder: (folder / "rng_state_9.pth").write_bytes(b"pickle"),
    lambda folder: (folder / "global_step1" / f"{MARK_FILE}.pt").write_bytes(b"pickle"),
    lambda folder: (folder / "global_step9").symlink_to("global_step1"),
    lambda folder: (shutil.copy(folder / "optimizer.pt", folder.parent / "x"), (folder / "optimizer.pt").unlink(),
                    (folder / "optimizer.pt").symlink_to(folder.parent / "x")),
    lambda folder: (folder / "optimizer.pt").unlink(),
], ids=["same-size", "longer", "added", "named-as-a-mark", "linked-folder", "linked-file", "removed"])  # fmt: skip
@pytest.mark.parametrize("remade", [True, False])
def test_a_checkpoint_that_somebody_without_the_key_has_changed_is_passed_over_and_removed(key, tmp_path, plant, remade):
    older, newer = sealed(tmp_path, 10), sealed(tmp_path, 20)
    plant(newer)
    if remade:
        mark_again(newer)
    assert last_checkpoint(tmp_path) == older
    assert remove_torn(tmp_path) in ([newer], [])
    assert older.is_dir()
    assert not newer.exists()


def test_a_planted_checkpoint_is_not_gone_on_from_and_the_call_is_told_which(key, tmp_path):
    unsigned, sealed_one = checkpoint(tmp_path, 30), sealed(tmp_path, 20)
    renamed = sealed_one.with_name("checkpoint-40")
    shutil.copytree(sealed_one, renamed)
    mark_again(renamed, step=40)
    assert last_checkpoint(tmp_path) == sealed_one
    assert sorted(remove_torn(tmp_path)) == [unsigned, renamed]


def test_a_checkpoint_sealed_with_another_key_does_not_hold(key, tmp_path, monkeypatch):
    folder = sealed(tmp_path, 20)
    monkeypatch.setenv(KEY_VARIABLE, KEY[::-1])
    assert not holds(folder)
    monkeypatch.delenv(KEY_VARIABLE)
    assert holds(folder)


def test_without_a_key_a_mark_stays_as_it_was(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    before = (checkpoint(tmp_path, 10) / MARK_FILE).read_text()
    seal(tmp_path / "checkpoint-10")
    assert (tmp_path / "checkpoint-10" / MARK_FILE).read_text() == before
    assert set(json.loads(before)) == {"step", "max_steps", "processes", "files"}


def test_what_is_being_removed_is_not_sealed(key, tmp_path):
    folder = checkpoint(tmp_path, 10)
    (folder / "optimizer.pt").unlink()
    with pytest.raises(GlobeError, match="is not whole"):
        seal(folder)
