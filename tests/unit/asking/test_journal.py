"""The journal keeps every answer whole, whatever is in it; `test_runner` kills the process that writes it."""

import json

import pytest

from globe.asking.journal import JOURNAL_FILE, Journal, alone
from globe.asking.reply import Reply
from globe.errors import InputError

ODD = Reply("a\u2028b\u0085c\r\n\0\x1b[31m\ufffd é 😀", True, 0.25, 30, 4, 2, 1.5, 0.5)


def test_what_is_added_is_read_again(tmp_path):
    with Journal(tmp_path) as journal:
        journal.add("a", 0, ODD)
        journal.add("a\u2028", 1, Reply("second"))
    with Journal(tmp_path) as journal:
        assert journal.answered == {("a", 0): ODD, ("a\u2028", 1): Reply("second")}
        journal.add("b", 0, Reply("third"))
    assert len(Journal(tmp_path).answered) == 3
    assert len((tmp_path / JOURNAL_FILE).read_bytes().splitlines()) == 5  # two of them begin a run


def test_every_cut_of_the_file_leaves_the_lines_before_it(tmp_path):
    with Journal(tmp_path) as journal:
        for number in range(3):
            journal.add(f"p{number}", 0, ODD)
    whole = (tmp_path / JOURNAL_FILE).read_bytes()
    for end in range(len(whole) + 1):
        (tmp_path / JOURNAL_FILE).write_bytes(whole[:end])
        with Journal(tmp_path) as journal:
            kept = len(journal.answered)
            assert whole[:end].count(b"\n") - 1 <= kept <= whole[:end].count(b"\n")
            journal.add("after", 0, Reply("x"))
        assert Journal(tmp_path).answered[("after", 0)] == Reply("x")
        assert len(Journal(tmp_path).answered) == kept + 1


@pytest.mark.parametrize(
    "damage",
    [{"id": 7}, {"sample": "0"}, {"text": None}, {"confidence": 148.41}, {"confidence": -1}, {"prompt_tokens": -1},
     {"latency_s": "soon"}, {"cut_off": 1}, {"more": 1}, {"at": None}],
)  # fmt: skip
def test_a_line_with_a_wrong_field_is_passed_over(tmp_path, damage):
    with Journal(tmp_path) as journal:
        journal.add("a", 0, ODD)
    line = json.loads((tmp_path / JOURNAL_FILE).read_bytes().splitlines()[-1])
    (tmp_path / JOURNAL_FILE).write_text(json.dumps(line) + "\n" + json.dumps(line | damage) + "\nnull\n[1]\nNaN\n\n")
    assert Journal(tmp_path).answered == {("a", 0): ODD}


def test_the_time_of_all_runs_up_to_their_last_answers_is_known(tmp_path):
    line = json.loads(_line(tmp_path))
    lines = [
        {"started": 100.0},
        line | {"at": 103.0},
        line | {"at": 104.5},
        {"started": 900.0},
        {"started": 1000.0},
        line | {"at": 1002.0},
    ]
    (tmp_path / JOURNAL_FILE).write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert Journal(tmp_path).busy_s == 4.5 + 0 + 2.0


def _line(folder):
    with Journal(folder) as journal:
        journal.add("a", 0, ODD)
    return (folder / JOURNAL_FILE).read_bytes().splitlines()[-1]


def test_a_folder_is_kept_for_one_and_free_again_afterwards(tmp_path):
    folder = tmp_path / "new"
    with alone(folder), pytest.raises(InputError, match=r"process \d+ is evaluating there; wait for it"), alone(folder):
        pass
    with pytest.raises(KeyError), alone(folder):
        raise KeyError
    with alone(folder):
        pass
    assert (folder / ".lock").read_bytes() == b""
