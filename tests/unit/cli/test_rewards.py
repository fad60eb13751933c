"""`globe reward` as people call it."""

import json
from pathlib import Path

import pytest
from cli_inputs import ROW
from command_line import globe, refused

from globe.rewards import REWARDS


def test_reward_prints_each_score_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "completion": None}) + "\n")
    result = globe("reward", str(path), "--rewards", "accuracy,visual,format", "--json")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert result.returncode == 0
    assert first["row"] == 1
    assert {n: s["score"] for n, s in first["scores"].items()} == {"accuracy": 1.0, "visual_precision": 1.0, "format": 1.0}
    assert all(s["reason"] for s in first["scores"].values())
    assert {s["score"] for s in second["scores"].values()} == {0.0}
    assert list(json.loads(globe("reward", str(path), "--json").stdout.splitlines()[0])["scores"]) == list(REWARDS)
    assert "accuracy 1.000" in globe("reward", str(path)).stdout


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{", ["row 2", "not JSON"]),
        ("[1]", ["row 2", "not a JSON object"]),
        ("[" * 100_000, ["row 2", "not JSON"]),
        (json.dumps({k: v for k, v in ROW.items() if k != "completion"}), ["row 2", "completion"]),
        (json.dumps({k: v for k, v in ROW.items() if k != "entities"}), ["row 2", "entities"]),
        (
            json.dumps({**ROW, "solution": {"country": "France", "lat_deg": 139.7, "lon_deg": 35.7}}),
            ["row 2", "lat_deg 139.7", "swapped"],
        ),
        (json.dumps({**ROW, "solution": {"country": "France", "lat_deg": float("nan"), "lon_deg": 0}}), ["row 2", "nan"]),
        (json.dumps({**ROW, "id": "x\ny", "solution": {}}), ["row 2", "solution.country"]),
    ],
)
def test_reward_refuses_broken_rows_and_prints_nothing_half(tmp_path: Path, line: str, parts: list[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + line + "\n")
    refused(globe("reward", str(path), "--json"), str(path), *parts)


def test_reward_refuses_missing_files_and_unknown_rewards(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    refused(globe("reward", str(path)), str(path), "no such file")
    refused(globe("reward", str(tmp_path)), "cannot be read")
    refused(globe("reward", ""), "not a path")
    refused(globe("reward", "s3://bucket/rows.jsonl"), "is not on this machine")
    path.write_bytes(b"\xff\xff")
    refused(globe("reward", str(path)), "UTF-8")
    path.write_text("")
    refused(globe("reward", str(path)), "no rows")
    path.write_text(json.dumps(ROW))
    refused(globe("reward", str(path), "--rewards", "beauty"), "beauty", "accuracy")
