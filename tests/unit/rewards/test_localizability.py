"""What is asked about a completion, and what is read in an answer, however a tokenizer cuts the words."""

import json
from math import inf, log, nan

import pytest
from scoring_server import DIGEST, NAME, answer

from globe.errors import GlobeError
from globe.rewards.localizability import QUESTION, Judge, Refused, Unanswered, Unusable, question, yes_share

JUDGE = Judge("http://127.0.0.1:9/v1", NAME, "the-key", DIGEST)
OURS = {"x-globe-model": DIGEST}


def test_the_two_words_share_the_whole_probability():
    assert yes_share([("yes", log(0.3)), ("no", log(0.1))]) == pytest.approx(0.75)


def test_pieces_cases_and_spaces_count_for_their_word():
    tokens = [("Yes", log(0.2)), (" y", log(0.1)), ("ye", log(0.1)), ("NO", log(0.2)), ("n", log(0.2)), ("the", log(0.2))]
    assert yes_share(tokens) == pytest.approx(0.5)


def test_a_word_that_merely_starts_alike_counts_for_nothing():
    assert yes_share([("yesterday", log(0.5)), ("north", log(0.3)), ("yes", log(0.1)), ("no", log(0.1))]) == pytest.approx(0.5)


@pytest.mark.parametrize("tokens", [
    [("maybe", log(0.9)), ("", log(0.1))], [], [("yes", nan), ("no", -1.0)], [("yes", -inf), ("no", -inf)], [("no", inf)],
])  # fmt: skip
def test_what_gives_no_probability_is_an_error_and_never_a_score(tokens):
    with pytest.raises(Unusable):
        yes_share(tokens)


def test_the_question_holds_the_whole_completion_and_its_picture():
    body = json.loads(JUDGE.request("data:a", "<think>é</think>"))
    assert question("<think>é</think>") == f"{QUESTION}\n<think>é</think>"
    (turn,) = body.pop("messages")
    assert turn["content"][0] == {"type": "image_url", "image_url": {"url": "data:a"}}
    assert turn["content"][1]["text"] == question("<think>é</think>")
    asked = {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": 20}
    assert body == {"model": NAME, "structured_outputs": {"choice": ["yes", "no"]}, **asked}


def test_an_answer_of_the_reward_model_is_its_score():
    assert JUDGE.read(200, OURS, json.dumps(answer(0.3)).encode()) == pytest.approx(0.3)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_or_broken_service_has_not_answered(status):
    with pytest.raises(Unanswered, match=f"HTTP status {status}"):
        JUDGE.read(status, {}, b"")


@pytest.mark.parametrize("body", [
    b"", b"<html>", b"[]", b"null", b"{}", b'{"model": "reward_model", "choices": []}', b"[" * 100_000,
    b'{"model": "reward_model", "choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": 1, "logprob": "x"}]}]}}]}',
])  # fmt: skip
def test_nonsense_has_no_score(body):
    with pytest.raises(Unusable):
        JUDGE.read(200, OURS, body)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_the_reward_model_does_not_take_is_refused_with_its_reason(status):
    with pytest.raises(Refused, match="too long"):
        JUDGE.read(status, OURS, b'{"error": {"message": "too long"}}')


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("headers", [{}, {"x-globe-model": "another"}])
def test_nothing_that_another_model_says_is_used(status, headers):
    with pytest.raises(GlobeError, match="and model 0123456789ab was meant; nothing of it is used") as caught:
        JUDGE.read(status, headers, json.dumps(answer(0.3)).encode())
    assert not isinstance(caught.value, Unanswered | Refused)


def test_an_answer_under_another_name_gives_no_score():
    with pytest.raises(GlobeError, match="policy answers, not reward_model"):
        JUDGE.read(200, OURS, json.dumps(answer(0.3, "policy")).encode())


@pytest.mark.parametrize(("status", "told"), [(401, "does not take this run's key"), (404, "404"), (307, "307"), (403, "403")])
def test_a_server_that_is_no_reward_service_is_told_at_once(status, told):
    with pytest.raises(GlobeError, match=told) as caught:
        JUDGE.read(status, {}, b"")
    assert not isinstance(caught.value, Unanswered | Refused)
    assert "the-key" not in str(caught.value) + repr(JUDGE)
