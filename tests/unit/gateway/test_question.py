"""The question is the checkpoint's own, and its radius holds for that one alone."""

import pytest
from cli_inputs import checkpoint

from globe.answer.prompt import PROMPT
from globe.asking.recipe import SAMPLING_TEMPERATURE
from globe.errors import InputError
from globe.gateway.question import Question
from globe.gateway.settings import GatewaySettings
from globe.models.checkpoints import Usage


def test_without_a_checkpoint_the_question_is_the_benchmarks(capsys):
    question = Question(GatewaySettings())
    (asked,) = question.requests("data:x", 1)
    assert (asked["messages"][0]["content"][1]["text"], asked["max_tokens"], asked["temperature"]) == (PROMPT, 1024, 0.0)
    assert question.digest == ""
    assert "evaluation recipe benchmark" in capsys.readouterr().err


def test_the_recipes_own_temperature_is_kept(tmp_path):
    question = Question(GatewaySettings(checkpoint=checkpoint(tmp_path / "m", Usage(evaluation={"temperature": 0.3}))))
    assert [question.recipe(n).temperature for n in (1, 2)] == [0.3, 0.3]
    assert [Question(GatewaySettings()).recipe(n).temperature for n in (1, 2)] == [0.0, SAMPLING_TEMPERATURE]


def test_answers_are_no_longer_than_the_engine_and_the_operator_allow(tmp_path):
    made = checkpoint(tmp_path / "m", Usage(evaluation={"max_tokens": 900}))
    question = Question(GatewaySettings(checkpoint=made, max_tokens=600))
    assert [question.requests("data:x", 1, room)[0]["max_tokens"] for room in (0, 500, 4096)] == [600, 500, 600]


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Question(GatewaySettings(checkpoint=tmp_path / "none"))
