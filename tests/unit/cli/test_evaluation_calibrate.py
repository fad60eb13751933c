"""`globe calibrate` as people call it, and what `globe locate` makes of it."""

import json
import math
from pathlib import Path

import pytest
from cli_inputs import checkpoint
from command_line import globe, refused
from simulated import answers

from globe.answer.prompt import PROMPT
from globe.figures.predictions import write_predictions
from globe.files import write_json
from globe.models.checkpoints import RADIUS_FILE, read_checkpoint


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """A checkpoint, and an evaluation of it."""
    folder = tmp_path / "evaluation"
    folder.mkdir()
    write_predictions(folder, answers("overconfident", 600))
    digest = read_checkpoint(checkpoint(tmp_path / "m")).digest
    write_json(folder / "question.json", {"checkpoint": digest, "prompt": PROMPT, "temperature": 0.0, "samples": 1})
    return folder


def test_the_file_lies_beside_the_manifest_and_what_it_covers_is_told(evaluated: Path, tmp_path: Path) -> None:
    done = globe("calibrate", str(evaluated), "--checkpoint", str(tmp_path / "m"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split()[-1] == str(tmp_path / "m" / RADIUS_FILE)
    assert "covers" in done.stdout.splitlines()[0]
    as_json = json.loads(globe("calibrate", str(evaluated), "--checkpoint", str(tmp_path / "m"), "--json").stdout)
    assert as_json.pop("file") == str(tmp_path / "m" / RADIUS_FILE)
    assert as_json == json.loads((tmp_path / "m" / RADIUS_FILE).read_text())


def test_without_a_checkpoint_it_lies_in_the_evaluation(evaluated: Path, tmp_path: Path) -> None:
    assert globe("calibrate", str(evaluated), "--level", "80").returncode == 0
    assert json.loads((evaluated / RADIUS_FILE).read_text())["level_percent"] == 80.0
    assert not (tmp_path / "m" / RADIUS_FILE).exists()


def test_another_checkpoint_a_folder_without_predictions_and_a_level_that_cannot_be_are_refused(
    evaluated: Path, tmp_path: Path
) -> None:
    refused(globe("calibrate", str(evaluated), "--checkpoint", str(checkpoint(tmp_path / "other"))), "evaluate this one first")
    refused(globe("calibrate", str(tmp_path)), "no predictions.jsonl")
    refused(globe("calibrate", str(evaluated), "--checkpoint", str(tmp_path / "none")), "no such folder")
    refused(globe("calibrate", str(evaluated), "--level", "99"), "600 of 600 answers", "needs 1000")
    assert globe("calibrate", str(evaluated), "--level", "100").returncode == 2


def test_locate_says_within_which_distance(model, photo, evaluated: Path, tmp_path: Path) -> None:
    globe("calibrate", str(evaluated), "--checkpoint", str(tmp_path / "m"))
    model.root = str(tmp_path / "m")
    texts = ["<think>a tower</think>", "<answer>", "country: France\ncity: Paris", "</answer>"]
    tokens = [{"token": text, "logprob": math.log(0.9), "bytes": None, "top_logprobs": []} for text in texts]
    message = {"role": "assistant", "content": "".join(texts)}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": {"content": tokens}}
    model.chat = (200, "application/json", json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}))
    located = globe("locate", str(photo), "--url", model.url, "--json")
    answer = json.loads(located.stdout)
    assert answer["confidence"] == pytest.approx(0.81)
    assert answer["radius_level_percent"] == 90.0
    assert answer["radius_km"] > 0
    assert "km with 90%" in globe("locate", str(photo), "--url", model.url).stdout.splitlines()[1]
    other = globe("locate", str(photo), "--url", model.url, "--json", "--set", "temperature=0.5")
    assert "radius_km" not in json.loads(other.stdout)
    assert "another question" in other.stderr
