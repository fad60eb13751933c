"""What a rollout was, from the line that the trainer wrote."""

import json
import math
from pathlib import Path

from globe.rewards import REWARDS
from globe.training.samples import Samples, groups_of

NAIROBI = {"solution": {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.3, "lon_deg": 36.8}, "entities": ["palm"]}
RIGHT = "<think>palm</think><answer>country: Kenya\ncity: Nairobi</answer>"
WRONG = "<think>snow</think><answer>country: Norway\ncity: Oslo</answer>"
REWARD_NAMES = ("accuracy", "localizability")


def line(step: int = 5, **columns: list) -> bytes:
    table = {
        "step": [str(step)] * 4,
        "prompt": ["?"] * 4,
        "completion": [RIGHT, WRONG, WRONG, "?"],
        "accuracy": [1.0, 0.0, 0.0, 0.0],
        "localizability": [0.75, 0.5, float("nan"), None],
        "advantages": [1.5, -0.5, -0.5, -0.5],
        "row": [json.dumps(NAIROBI)] * 4,
        "picture": ["a.png", "a.png", "b.png", "b.png"],
    }
    return (json.dumps(table | columns) + "\n").encode()


def test_answers_are_grouped_by_their_picture_with_the_truth():
    first, second = groups_of(line(), REWARD_NAMES)
    assert [answer.text for answer in first.answers] == [RIGHT, WRONG]
    assert (first.picture, second.picture) == (Path("a.png"), Path("b.png"))
    assert first.truth == NAIROBI
    assert first.answers[0].advantage == 1.5


def test_a_reward_has_its_logged_score_and_the_registrys_reason():
    first, second = groups_of(line(), REWARD_NAMES)
    accuracy, localizability = first.answers[1].scores
    assert (accuracy.name, accuracy.score) == ("accuracy", 0.0)
    assert accuracy.reason == REWARDS["accuracy"](WRONG, NAIROBI).reason
    assert localizability.score == 0.5
    assert [answer.scores[1].score for answer in second.answers] == [None, None]
    assert math.isfinite(first.answers[0].scores[1].score)


def test_a_row_without_its_truth_says_so_and_ends_nothing():
    first, *_ = groups_of(line(row=["{}"] * 4), REWARD_NAMES)
    assert first.answers[0].scores[0].score == 1.0
    assert "solution" in first.answers[0].scores[0].reason


def test_there_is_a_page_every_so_many_steps_and_one_of_the_last_step(tmp_path):
    pages, completions = [], tmp_path / "completions.jsonl"
    samples = Samples(completions, tmp_path, 2, REWARD_NAMES, lambda folder, step, groups: pages.append((step, len(groups))))
    for step in range(1, 6):
        with completions.open("ab") as file:
            file.write(line(step))
        samples.write_due()
    assert pages == [(2, 2), (4, 2)]
    samples.write_last()
    assert pages == [(2, 2), (4, 2), (5, 2)]
    samples.write_last()
    assert len(pages) == 3


def test_without_completions_there_is_no_page(tmp_path):
    def never(*_):
        raise AssertionError("a page of nothing")

    Samples(tmp_path / "completions.jsonl", tmp_path, 2, REWARD_NAMES, never).write_last()
