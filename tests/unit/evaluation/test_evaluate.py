"""What an evaluation leaves behind, and what a reader of its figures must know. `tests/unit/cli` asks real servers."""

import io
import json

import pytest
from PIL import Image

from globe.asking.answers import Location, geocode
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.evaluation.evaluate import files_of, headline, write_evaluation
from globe.evaluation.recipe import EvaluationRecipe
from globe.figures.predictions import prediction, read_predictions


@pytest.fixture
def rows(tmp_path):
    pixels = io.BytesIO()
    Image.new("RGB", (8, 8)).save(pixels, "PNG")
    place = {"lat_deg": 48.85, "lon_deg": 2.35, "country": "France", "city": "Paris", "split": "test"}
    made = [Row(id=f"p{number}", image=pixels.getvalue(), **place) for number in range(100)]
    write_dataset(tmp_path / "test", made)
    return made


def evaluation(tmp_path, rows, cut_off, room=0):
    right = geocode("<think>a tower</think><answer>country: France\ncity: Paris</answer>")
    records = [prediction(row, Location("cut_off", "<think>") if i < cut_off else right) for i, row in enumerate(rows)]
    recipe = EvaluationRecipe(max_tokens=64, bootstrap_rounds=10)
    return records, write_evaluation("a model", records, tmp_path / "test", tmp_path / "out", recipe, room)


def test_predictions_metrics_and_report_are_written_and_named(tmp_path, rows):
    records, metrics = evaluation(tmp_path, rows, 0)
    assert read_predictions(tmp_path / "out") == records
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert (metrics["model"], metrics["n"], metrics["accuracy"]["25"]) == ("a model", 100, 100.0)
    named = [line.split()[-1] for line in files_of(tmp_path / "out")]
    assert sorted(named) == sorted(str(path) for path in (tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("cut_off", "room", "said"),
    [(3, 0, []), (4, 0, ["4 of 100 answers (4%)", "--set max_tokens=128"]), (4, 64, ["max_model_len is more than 64"])],
)
def test_a_few_answers_cut_off_are_a_models_and_more_are_the_limits(tmp_path, rows, cut_off, room, said):
    _, metrics = evaluation(tmp_path, rows, cut_off, room)
    assert len(metrics["warnings"]) == bool(said)
    assert all(part in metrics["warnings"][0] for part in said)
    assert (f"{cut_off} answers cut off" in headline(metrics)) == bool(said)
