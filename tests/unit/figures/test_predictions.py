"""Predictions are kept whatever their words hold, and count once they are written."""

from pathlib import Path

import pytest

from globe.asking.answers import Location, geocode
from globe.data.rows import Row
from globe.errors import InputError
from globe.figures.predictions import PREDICTIONS_FILE, level_of, prediction, read_predictions, write_predictions
from globe.geo.places import find_place

ODD = "<think>a sign\u2028with\u2029odd\u0085ends</think><answer>country: France\ncity: Saint-Étienne</answer>"


def row(number: int) -> Row:
    return Row(id=f"ü{number}", image=b"\x89PNG", lat_deg=45.4, lon_deg=4.4, country="France", city="Saint-Étienne", split="test")


def written(folder: Path, *locations: Location) -> list[dict]:
    records = [prediction(row(number), location) for number, location in enumerate(locations)]
    write_predictions(folder, records)
    return records


def test_a_finished_evaluation_is_read_whole_failed_calls_and_odd_ends_of_lines_included(tmp_path):
    records = written(tmp_path, geocode(ODD), Location("call_failed", error="HTTP 500"))
    assert read_predictions(tmp_path) == records


def test_a_word_that_no_file_can_hold_is_written_and_read_back(tmp_path):
    records = written(tmp_path, Location("not_parsed", "half of a pair \ud83d"))
    assert read_predictions(tmp_path) == records


def test_two_answers_to_one_picture_are_refused(tmp_path):
    first, second = written(tmp_path, Location("not_parsed", "a"), Location("not_parsed", "b"))
    write_predictions(tmp_path, [first, second | {"id": first["id"]}])
    with pytest.raises(InputError, match=r"predictions\.jsonl: row 2: id 'ü0' appears twice"):
        read_predictions(tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("3", "not a JSON object"),
        ('{"status": "ok"}', "not a prediction: id: "),
        ('{"id": "a"}', "not a prediction: truth: "),
        ('{"id": 1, "truth": {"lat_deg": 1, "lon_deg": 2}}', "not a prediction: id: "),
        ('{"id": "a", "status": "fine", "truth": {"lat_deg": 1, "lon_deg": 2}}', "not a prediction: status: .*'not_geocoded'"),
        ('{"id": "a", "truth": [1]}', "not a prediction: truth: "),
        ('{"id": "a", "truth": {"lat_deg": 91, "lon_deg": 2}}', r"not a prediction: truth\.lat_deg: .*less than or equal to 90"),
        ('{"id": "a", "truth": {"lat_deg": NaN, "lon_deg": 2}}', r"not a prediction: truth\.lat_deg: .*finite"),
        ('{"id": "a", "truth": {"lat_deg": "1", "lon_deg": 2}}', r"not a prediction: truth\.lat_deg: .*number"),
        ('{"id": "a", "lat_deg": true, "lon_deg": 2, "truth": {"lat_deg": 1, "lon_deg": 2}}', "not a prediction: lat_deg: "),
        ('{"id": "a", "lat_deg": 1, "truth": {"lat_deg": 1, "lon_deg": 2}}', "not a prediction: .*lon_deg go together"),
        (
            '{"id": "a", "status": "cut_off", "lat_deg": 1, "lon_deg": 2, "truth": {"lat_deg": 1, "lon_deg": 2}}',
            "not a prediction: .*has a position, and the status 'cut_off'",
        ),
        ('{"id": "a", "city": 3, "truth": {"lat_deg": 1, "lon_deg": 2}}', "not a prediction: city: "),
    ],
)
def test_a_line_that_is_no_prediction_is_named_with_its_field(tmp_path, line, says):
    written(tmp_path, geocode(ODD))
    with (tmp_path / PREDICTIONS_FILE).open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(InputError, match=rf"predictions\.jsonl: row 3: {says}"):
        read_predictions(tmp_path)


def test_a_folder_without_predictions_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no predictions\.jsonl in it; give the folder that globe evaluate wrote"):
        read_predictions(tmp_path)
    (tmp_path / PREDICTIONS_FILE).write_text("\n")
    with pytest.raises(InputError, match="holds no predictions"):
        read_predictions(tmp_path)


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_a_countrys_point_is_known_however_a_table_rounds_it(digits):
    """Some countries' largest city lies within 25 km of it, where it would count."""
    point = find_place("", "Thailand")
    lat_deg, lon_deg = round(point.lat_deg, digits), round(point.lon_deg, digits)
    record = {"country": "Thailand", "city": "Toronto", "lat_deg": lat_deg, "lon_deg": lon_deg}
    assert level_of(record) == "country"
    assert level_of(record | {"lat_deg": lat_deg + 0.01}) == ""  # a model's own position
    assert level_of(record | {"city": "Bangkok"}) == ""
