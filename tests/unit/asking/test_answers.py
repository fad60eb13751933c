"""From a model's text to a place, with the reason when there is none."""

from math import log
from types import SimpleNamespace

import pytest

from globe.asking.answers import geocode


def tokens(*pairs):
    return [SimpleNamespace(token=text, logprob=log(probability)) for text, probability in pairs]


def test_a_complete_answer_is_a_place_with_a_position():
    found = geocode("<think>a tower</think><answer>country: France\ncity: Paris</answer>")
    assert found.status == "ok"
    assert found.lat_deg == pytest.approx(48.85, abs=0.1)
    assert found.reasoning == "a tower"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", "no_answer"),
        ("   \n", "no_answer"),
        ("<think>Paris, France?</think>", "not_parsed"),
        ("<answer>country: France\ncity: Paris</answer><answer>country: Peru\ncity: Lima</answer>", "not_parsed"),
        ("<think>x</think><answer>country: Atlantis\ncity: Nowhere</answer>", "not_geocoded"),
    ],
)
def test_what_is_no_place_says_why(text, status):
    found = geocode(text)
    assert found.status == status
    assert found.lat_deg is None


def test_confidence_is_the_probability_of_the_answers_tokens_alone():
    text = "<think>x</think><answer>country: France\ncity: Paris</answer>"
    parts = [("<think>x</think>", 0.1), ("<answer>", 0.5), ("country: France\n", 0.8), ("city: Paris</answer>", 0.5)]
    assert geocode(text, tokens(*parts)).confidence == pytest.approx(0.4)


def test_without_tokens_there_is_no_confidence():
    assert geocode("<think>x</think><answer>country: France\ncity: Paris</answer>").confidence is None


def test_a_probability_that_is_none_is_left_out():
    said = "<think>x</think><answer>country: France\ncity: Paris</answer>"
    for logprob, expected in ((float("inf"), 1.0), (float("nan"), None), (-1e999, 0.0)):
        tokens = [SimpleNamespace(token="<answer>", logprob=0.0), SimpleNamespace(token="x", logprob=logprob)]
        assert geocode(said, tokens).confidence == expected
