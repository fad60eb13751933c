"""The rewards as ms-swift calls them: one after the other, each with the whole batch and its rows as JSON."""

import json
from typing import Any

import pytest

from globe.rewards import NAMES, REWARDS

ROWS: list[dict[str, Any]] = [
    {"solution": {"country": "Kenya", "city": "Nairobi"}, "entities": ["red earth", "palm tree"]},
    {"solution": {"country": "Germany", "city": "Munich"}, "entities": ["church"]},
]
COMPLETIONS = [
    "<think>Red earth and palm trees under a wide sky.</think><answer>country: Kenya\ncity: Mombasa</answer>",
    "<think>A church.</think><answer>country: Deutschland\ncity: München</answer>",
    "no answer at all",
]


@pytest.fixture(scope="module")
def orms() -> dict[str, Any]:
    rewards = pytest.importorskip("swift.rewards", reason="needs the train extra")
    import globe.rewards.swift_plugin  # noqa: F401 - registers them

    return rewards.orms


@pytest.mark.parametrize("name", list(REWARDS))
def test_each_reward_is_registered_and_scores_as_the_plain_function_does(orms: dict[str, Any], name: str) -> None:
    completions, rows = COMPLETIONS * 30, [ROWS[0], ROWS[1], ROWS[0]] * 30
    scores = orms[name]()(completions=completions, row=[json.dumps(row) for row in rows], picture=["x"] * 90)
    assert scores == [REWARDS[name](c, r).score for c, r in zip(completions, rows, strict=True)]


def test_another_batch_is_read_anew(orms: dict[str, Any]) -> None:
    rows = [json.dumps(row) for row in ROWS]
    accuracy = orms["accuracy"]()
    assert accuracy(completions=COMPLETIONS[:2], row=rows) == [pytest.approx(0.2), 1.0]
    assert accuracy(completions=COMPLETIONS[1::-1], row=rows) == [0.0, 0.0]
    assert accuracy(completions=COMPLETIONS[:2], row=rows[::-1]) == [0.0, 0.0]


def test_fewer_rows_than_completions_are_an_error(orms: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="3 completions, but 1 rows"):
        orms["format"]()(completions=COMPLETIONS, row=[json.dumps(ROWS[0])])


def test_localizability_is_registered_too(orms: dict[str, Any]) -> None:
    assert orms["localizability"].__name__ == "localizability"
    assert set(NAMES) <= set(orms)
