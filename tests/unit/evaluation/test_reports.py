"""What a report is told: each evaluation with its predictions, and its differences to the one before."""

import pytest

from globe.errors import InputError
from globe.evaluation.predictions import PREDICTIONS_FILE, write_predictions
from globe.evaluation.reports import views

PARIS = {"country": "France", "city": "Paris", "lat_deg": 48.8566, "lon_deg": 2.3522}
FAR = PARIS | {"city": "", "lon_deg": 12.0}


def evaluation(tmp_path, name, place, ids):
    records = [{"id": identity, "status": "ok", "truth": PARIS} | place for identity in ids]
    (tmp_path / name).mkdir()
    write_predictions(tmp_path / name, records)
    return name, {"n": len(records)}, tmp_path / name


def test_an_evaluation_is_compared_with_the_one_before_it(tmp_path):
    before, after = views([evaluation(tmp_path, "before", FAR, "abc"), evaluation(tmp_path, "after", PARIS, "cba")])
    assert (before.name, before.metrics, before.change) == ("before", {"n": 3}, None)
    assert [record["id"] for record in after.predictions or []] == ["c", "b", "a"]
    assert after.change is not None
    assert after.change["accuracy"]["25"]["difference"] == 100.0


def test_nothing_is_compared_where_the_pictures_differ_or_predictions_are_gone(tmp_path):
    gone = ("gone", {}, tmp_path / "gone")
    found = views(
        [
            evaluation(tmp_path, "a", FAR, "ab"),
            evaluation(tmp_path, "b", PARIS, "ac"),
            gone,
            evaluation(tmp_path, "c", PARIS, "ac"),
        ]
    )
    assert [view.change for view in found] == [None] * 4
    assert [view.predictions is None for view in found] == [False, False, True, False]


def test_a_broken_predictions_file_names_file_and_row(tmp_path):
    title, metrics, folder = evaluation(tmp_path, "a", PARIS, "a")
    with (folder / PREDICTIONS_FILE).open("a") as file:
        file.write("{torn")
    with pytest.raises(InputError, match=r"a/predictions\.jsonl: row 2"):
        views([(title, metrics, folder)])
