"""P(yes) from a first token's alternatives, however the tokenizer cuts the words."""

from math import log

import pytest

from globe.errors import GlobeError
from globe.rewards.localizability import QUESTION, question, yes_share


def test_the_two_words_share_the_whole_probability():
    assert yes_share([("yes", log(0.3)), ("no", log(0.1))]) == pytest.approx(0.75)


def test_pieces_cases_and_spaces_count_for_their_word():
    tokens = [("Yes", log(0.2)), (" y", log(0.1)), ("ye", log(0.1)), ("NO", log(0.2)), ("n", log(0.2)), ("the", log(0.2))]
    assert yes_share(tokens) == pytest.approx(0.5)


def test_a_word_that_merely_starts_alike_counts_for_nothing():
    assert yes_share([("yesterday", log(0.5)), ("north", log(0.3)), ("yes", log(0.1)), ("no", log(0.1))]) == pytest.approx(0.5)


def test_neither_word_is_an_error_and_never_a_score():
    with pytest.raises(GlobeError, match="neither yes nor no"):
        yes_share([("maybe", log(0.9)), ("", log(0.1))])


def test_the_question_holds_the_whole_completion():
    assert question("<think>a</think>") == f"{QUESTION}\n<think>a</think>"
