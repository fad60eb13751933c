"""Which files a killed stage is taken up from elsewhere."""

from pathlib import Path

from globe.storage.keeper import work_so_far


def save(folder: Path, step: int, whole: bool = True) -> Path:
    checkpoint = folder / "swift" / f"checkpoint-{step}"
    (checkpoint / f"global_step{step}").mkdir(parents=True)
    for name in ("model.safetensors", f"global_step{step}/rank_0.pt", *(["whole.json"] if whole else [])):
        (checkpoint / name).write_text("{}")
    return checkpoint


def names(folder: Path, scratch=()) -> set[str]:
    return {path.relative_to(folder).as_posix() for paths in work_so_far(folder, scratch) for path in paths}


def test_the_newest_checkpoint_counts_by_its_number_with_all_ranks_files(tmp_path):
    for step in (9, 10):
        save(tmp_path, step)
    newest = "swift/checkpoint-10"
    assert names(tmp_path) == {f"{newest}/{name}" for name in ("model.safetensors", "global_step10/rank_0.pt", "whole.json")}


def test_a_checkpoint_that_is_still_being_written_does_not_count(tmp_path):
    save(tmp_path, 9)
    save(tmp_path, 10, whole=False)
    assert {name.split("/")[1] for name in names(tmp_path)} == {"checkpoint-9"}


def test_lines_logged_so_far_count_and_what_is_made_again_does_not(tmp_path):
    for name in ("rewards.json", "data/replies.jsonl", "scratch/train.jsonl", "data/manifest.json", "data/part.parquet", "x.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    for name in ("result.json", "result.unsent.json"):
        (tmp_path / name).write_text("{}")
    assert names(tmp_path, ["scratch"]) == {"rewards.json", "data/replies.jsonl"}
