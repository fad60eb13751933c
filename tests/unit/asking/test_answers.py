"""From a model's text to a place, with the reason when there is none."""

import pytest

from globe.asking.answers import geocode, located
from globe.asking.reply import Reply


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


def test_what_a_server_replied_keeps_what_it_took():
    text = "<think>x</think><answer>country: France\ncity: Paris</answer>"
    found = located(Reply(text, confidence=0.4, prompt_tokens=300, completion_tokens=20, attempts=2, latency_s=1.5))
    assert (found.status, found.city, found.confidence) == ("ok", "Paris", 0.4)
    assert (found.attempts, found.latency_s, found.prompt_tokens, found.completion_tokens) == (2, 1.5, 300, 20)


def test_only_an_answer_has_a_confidence():
    assert located(Reply("no idea", confidence=0.4)).confidence is None


def test_a_call_that_failed_says_why():
    found = located(Reply(error="HTTP status 500", attempts=4))
    assert (found.status, found.error, found.attempts, found.lat_deg) == ("call_failed", "HTTP status 500", 4, None)
