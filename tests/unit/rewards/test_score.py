from typing import Any

import pytest

from globe.errors import InputError
from globe.rewards.score import MAX_COMPLETION_CHARS, entities_of, read

COMPLETION = "<think>A church, isn't it?</think><answer>country: A\ncity: B</answer>"


def test_a_completion_is_read_into_its_answer_and_the_words_of_its_reasoning() -> None:
    reading = read(COMPLETION)
    assert (reading.answer.country, reading.answer.city, reading.broken) == ("A", "B", "")
    assert reading.words == ["a", "church", "isn't", "it"]


def test_equal_completions_are_read_once() -> None:
    assert read(COMPLETION) is read(COMPLETION)


@pytest.mark.parametrize("completion", [None, 3, b"text", ["text"], "a" * (MAX_COMPLETION_CHARS + 1)])
def test_what_is_no_text_or_too_long_is_broken_and_has_no_answer(completion: Any) -> None:
    reading = read(completion)
    assert reading.broken
    assert not reading.answer.country
    assert not reading.words


@pytest.mark.parametrize("entities", [["church", "palm"], ("church", "palm"), [{"text": "church", "score": 1}, "palm"]])
def test_entities_are_texts_or_structs_with_a_text_as_in_the_originals_dataset(entities: Any) -> None:
    assert entities_of({"entities": entities}) == ("church", "palm")


@pytest.mark.parametrize("entities", [None, "church", b"church", {"a": 1}, 7, [3], [None], [{"name": "church"}]])
def test_a_row_without_a_list_of_entities_is_an_error_that_names_it(entities: Any) -> None:
    with pytest.raises(InputError, match=r"picture-7.*entities"):
        entities_of({"id": "picture-7", "entities": entities})
