"""completions.jsonl goes on after a kill as if there had been none."""

import json
from pathlib import Path

import pytest

from globe.training.completions import forget_after, parse, read_new, step_of_line


def line(step: int, *texts: str) -> str:
    table = {"step": [str(step)] * len(texts), "prompt": ["?"] * len(texts), "completion": list(texts)}
    return json.dumps(table, ensure_ascii=False) + "\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "completions.jsonl"
    path.write_text(text)
    return path


@pytest.mark.parametrize("torn", ["", line(4, "Österreich")[:-1], line(4, "d")[:20], "{", line(3, "again"), line(9, "later")])
def test_what_was_written_after_the_step_that_is_resumed_from_is_cut_off(tmp_path, torn):
    kept = line(1, "a", "b") + line(2, "c")
    path = written(tmp_path, kept + (line(3, "x") + torn if torn else ""))
    forget_after(path, 2)
    assert path.read_text() == kept


def test_a_training_that_starts_anew_forgets_all_and_one_without_a_file_has_nothing_to_forget(tmp_path):
    forget_after(tmp_path / "completions.jsonl", 0)
    path = written(tmp_path, line(1, "a"))
    forget_after(path, 0)
    assert path.read_text() == ""


def test_lines_are_read_as_they_are_written_each_once(tmp_path):
    path = written(tmp_path, line(1, "a") + line(2, "b") + line(3, "c")[:15])
    first = list(read_new(path, 0))
    assert [step for step, _, _ in first] == [1, 2]
    path.write_text(line(1, "a") + line(2, "b") + line(3, "c"))
    assert [step for step, _, _ in read_new(path, first[-1][2])] == [3]
    assert list(read_new(tmp_path / "none", 0)) == []


def test_a_line_is_a_table_of_completions():
    assert parse(line(7, "a", "b").encode()) == [
        {"step": "7", "prompt": "?", "completion": "a"},
        {"step": "7", "prompt": "?", "completion": "b"},
    ]
    assert step_of_line(line(7, "a").encode()) == 7
    assert step_of_line(b'{"step": []}\n') is None
