"""Predictions are kept whatever their words hold, and count once they are written."""

import json
from pathlib import Path

from globe.data.rows import Row
from globe.evaluation.client import Location, geocode
from globe.evaluation.evaluate import PREDICTIONS_FILE, _answered, prediction, read_predictions

ODD = "<think>a sign\u2028with\u2029odd\u0085ends</think><answer>country: France\ncity: Saint-Étienne</answer>"


def row(number: int) -> Row:
    return Row(id=f"ü{number}", image=b"\x89PNG", lat_deg=45.4, lon_deg=4.4, country="France", city="Saint-Étienne", split="test")


def written(folder: Path, *locations: Location) -> list[dict]:
    records = [prediction(row(number), location) for number, location in enumerate(locations)]
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / PREDICTIONS_FILE).write_text(text, encoding="utf-8")
    return records


def test_a_finished_evaluation_is_read_whole_failed_calls_and_odd_ends_of_lines_included(tmp_path):
    records = written(tmp_path, geocode(ODD), Location("call_failed", "HTTP 500"))
    assert read_predictions(tmp_path) == records


def test_an_interrupted_evaluation_asks_again_what_failed_what_is_torn_and_what_lacks_a_field(tmp_path):
    kept, _, torn = written(tmp_path, geocode(ODD), Location("call_failed", "HTTP 500"), geocode(ODD))
    path = tmp_path / PREDICTIONS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex("Ü".lower().encode()) + 1])  # within a character
    with path.open("ab") as file:
        file.write(b'\n{"id": "x", "status": "ok"}\n[]\n')
    assert _answered(path) == {kept["id"]: kept}
    assert torn["id"] not in _answered(path)
