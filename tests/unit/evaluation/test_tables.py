"""Truths and predictions that users bring; `tests/unit/cli/test_scoring.py` has how each mistake is told."""

import pytest

from globe.errors import InputError
from globe.evaluation.tables import read_scored, read_truth

TRUTH = "IMG_ID;Latitude;lng;Country;City\r\na;48.85;2.35;France;Paris\r\nb;52.52;13.40;Germany;Berlin\r\n"


@pytest.fixture
def files(tmp_path):
    def write(truth, predictions):
        (tmp_path / "t.csv").write_text(truth)
        (tmp_path / "p.csv").write_text(predictions)
        return tmp_path / "t.csv", tmp_path / "p.csv"

    return write


def test_a_truth_is_read_by_any_of_its_columns_names(files):
    truth, _ = files(TRUTH, "")
    assert read_truth(truth) == {
        "a": {"country": "France", "city": "Paris", "lat_deg": 48.85, "lon_deg": 2.35},
        "b": {"country": "Germany", "city": "Berlin", "lat_deg": 52.52, "lon_deg": 13.4},
    }


def test_every_truth_has_a_record_and_one_without_a_prediction_is_no_answer(files):
    placed, absent = read_scored(*files(TRUTH, "id,lat,lon\na,48.86,2.36\n"))
    assert (placed["id"], placed["status"], placed["lat_deg"]) == ("a", "ok", 48.86)
    assert (absent["id"], absent["status"], absent["lat_deg"]) == ("b", "no_answer", None)


def test_a_position_goes_before_names(files):
    (record, _) = read_scored(*files(TRUTH, "id,country,city,lat,lon\na,Germany,Berlin,48.86,2.36\n"))
    assert (record["country"], record["city"], record["lat_deg"]) == ("Germany", "Berlin", 48.86)


def test_a_truth_that_lies_in_its_place_only_with_its_coordinates_swapped_is_refused(files):
    with pytest.raises(InputError, match=r"t\.csv: row 2: .*with lat and lon swapped"):
        read_truth(files("id,lat,lon,country,city\na,36.82,-1.28,Kenya,Nairobi\n", "")[0])
