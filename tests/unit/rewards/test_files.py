import json
from pathlib import Path
from typing import Any

import pytest

from globe.errors import InputError
from globe.rewards import REWARDS
from globe.rewards.files import reward_names, score_file

ROW: dict[str, Any] = {
    "id": "a",
    "completion": "<think>A church under palms by the road.</think><answer>country: Kenya\ncity: Nairobi</answer>",
    "solution": {"country": "Kenya", "city": "Nairobi"},
    "entities": ["church", "palm"],
}


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_row_is_scored_in_order_as_the_functions_score_it(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "completion": None}]
    scores = score_file(written(tmp_path, *rows))
    assert [number for number, _ in scores] == [1, 2]
    assert [found for _, found in scores] == [{name: f(row["completion"], row) for name, f in REWARDS.items()} for row in rows]


def test_only_the_rewards_asked_for_are_given_each_once_in_that_order(tmp_path: Path) -> None:
    [(_, scores)] = score_file(written(tmp_path, ROW), "format, visual,visual_precision,format,")
    assert list(scores) == ["format", "visual_precision"]


def test_no_names_are_all_names() -> None:
    assert reward_names("") == reward_names(" , ") == list(REWARDS)


def test_a_reward_that_asks_a_served_model_cannot_score_a_file() -> None:
    with pytest.raises(InputError, match=r"--rewards localizability: it asks a served model"):
        reward_names("format,localizability")
    with pytest.raises(InputError, match=r"--rewards beauty: no such reward; choose from accuracy"):
        reward_names("beauty")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"completion": "x"}, "row 2: solution is missing"),
        ({**ROW, "entities": None}, "row 2: entities is missing"),
        ({key: value for key, value in ROW.items() if key != "completion"}, "row 2: completion is missing"),
    ],
)
def test_a_broken_row_is_an_error_that_names_file_row_and_field(tmp_path: Path, broken: Any, message: str) -> None:
    path = written(tmp_path, ROW, broken)
    with pytest.raises(InputError) as caught:
        score_file(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no rows"):
        score_file(written(tmp_path))
