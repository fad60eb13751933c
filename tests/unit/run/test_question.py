"""A folder belongs to one question, whoever asks it."""

import json

import pytest

from globe.errors import InputError
from globe.run.question import QUESTION_FILE, claim

QUESTION = {"stage": "sft", "values": {"max_steps": 3, "seed": 0}, "prompt": ""}


def recorded(folder):
    return json.loads((folder / QUESTION_FILE).read_text(encoding="utf-8"))


def test_a_new_folder_is_the_questions_and_the_same_question_may_come_again(tmp_path):
    claim(tmp_path, QUESTION)
    claim(f"{tmp_path}/", QUESTION)
    assert recorded(tmp_path) == QUESTION


def test_another_question_is_refused_with_all_that_differs_and_nothing_is_written(tmp_path):
    claim(tmp_path, QUESTION)
    with pytest.raises(InputError) as caught:
        claim(tmp_path, {"stage": "grpo", "values": {"max_steps": 4, "seed": 0}, "prompt": ""})
    assert "stage was 'sft' and is now 'grpo'; max steps was '3' and is now '4'); give another folder" in str(caught.value)
    assert recorded(tmp_path) == QUESTION


@pytest.mark.parametrize("change", [{"more": 1}, {"prompt": "Where?"}])
def test_what_only_one_of_two_questions_has_is_a_difference(tmp_path, change):
    claim(tmp_path, QUESTION)
    with pytest.raises(InputError, match="belongs to another question"):
        claim(tmp_path, QUESTION | change)
    (tmp_path / "other").mkdir()
    claim(tmp_path / "other", QUESTION | change)
    with pytest.raises(InputError, match="belongs to another question"):
        claim(tmp_path / "other", QUESTION)


def test_who_asks_decides_what_is_the_same_and_learns_nothing_less_than_before(tmp_path):
    claim(tmp_path, QUESTION | {"prompt": "Where?"})
    claim(tmp_path, QUESTION, lambda name, earlier, now: not now[name] or earlier[name] == now[name])
    assert recorded(tmp_path)["prompt"] == "Where?"


def test_long_values_are_told_around_their_first_difference(tmp_path):
    claim(tmp_path, {"prompt": "a" * 500 + "b" + "c" * 500})
    with pytest.raises(InputError) as caught:
        claim(tmp_path, {"prompt": "a" * 500 + "d" + "c" * 500})
    assert "aab" in str(caught.value)
    assert "aad" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "says"), [("{", "cannot be read"), ("[" * 99_999, "cannot be read"), ("[]", "holds no question")]
)
def test_a_file_that_holds_no_question_is_named_and_left_alone(tmp_path, text, says):
    (tmp_path / QUESTION_FILE).write_text(text)
    with pytest.raises(InputError, match=rf"question\.json: {says}"):
        claim(tmp_path, QUESTION)
    assert (tmp_path / QUESTION_FILE).read_text() == text
