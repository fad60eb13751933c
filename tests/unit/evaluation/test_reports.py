"""What a report is told: each evaluation with its predictions, and its differences to the one before."""

import json

import pytest

from globe.errors import InputError
from globe.evaluation.reports import METRICS_FILE, document, pictures_of, read_evaluations, views
from globe.figures.predictions import PREDICTIONS_FILE, read_predictions, write_predictions
from globe.geo.places import find_place

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


def finished(tmp_path, name, place, ids, **more):
    _, metrics, folder = evaluation(tmp_path, name, place, ids)
    metrics |= {"accuracy": {"25": 50.0}, "model": "globe"} | more
    (folder / METRICS_FILE).write_text(json.dumps(metrics))
    return folder


def test_evaluations_are_called_by_their_models_or_by_their_folders_where_these_are_the_same(tmp_path):
    a, b, c = (finished(tmp_path, name, PARIS, "ab", model=model) for name, model in (("a", "x"), ("b", "y"), ("c", "x")))
    assert [view.name for view in read_evaluations([a, b])] == ["x", "y"]
    assert [view.name for view in read_evaluations([a, c])] == [str(a), str(c)]
    assert [view.name for view in read_evaluations([a, c], ["first", "second"])] == ["first", "second"]
    with pytest.raises(InputError, match="--names gives 1 names for 2 folders"):
        read_evaluations([a, c], ["first"])


def test_each_is_compared_with_the_first_on_the_same_pictures(tmp_path):
    a, b = finished(tmp_path, "a", FAR, "ab", model="a"), finished(tmp_path, "b", PARIS, "ba", model="b")
    other, moved = finished(tmp_path, "c", PARIS, "ac"), finished(tmp_path, "d", PARIS, "ab", model="d")
    (moved / PREDICTIONS_FILE).write_text((moved / PREDICTIONS_FILE).read_text().replace("48.8566", "48.9"))
    first, second, third, fourth = read_evaluations([a, b, other, moved])
    assert second.change["accuracy"]["25"]["difference"] == 100.0
    assert (second.against, first.change, third.change, fourth.change) == ("a", None, None, None)
    told = document([first, second, third])
    assert [(one["a"], one["b"], one["n"]) for one in told["differences"]] == [("a", "b", 2)]
    assert [one["figures"]["n"] for one in told["evaluations"]] == [2, 2, 2]


def test_a_country_alone_is_known_as_such_in_older_predictions_too(tmp_path):
    found = find_place("", "Thailand")
    place = {"country": "Thailand", "city": "", "lat_deg": found.lat_deg, "lon_deg": found.lon_deg}
    (view,) = read_evaluations([finished(tmp_path, "a", place, "a")])
    assert view.predictions[0]["level"] == "country"


def test_a_folder_that_is_no_evaluation_is_named(tmp_path):
    folder = finished(tmp_path, "a", PARIS, "a")
    with pytest.raises(InputError, match=r"gone: no metrics\.json"):
        read_evaluations([tmp_path / "gone"])
    (folder / METRICS_FILE).write_text("{torn")
    with pytest.raises(InputError, match=r"a/metrics\.json: is not JSON"):
        read_evaluations([folder])
    (folder / METRICS_FILE).write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"a/metrics\.json: is not JSON"):
        read_evaluations([folder])


def test_figures_that_are_not_of_these_predictions_are_refused(tmp_path):
    folder = finished(tmp_path, "a", PARIS, "abc")
    write_predictions(folder, read_predictions(folder)[:2])
    with pytest.raises(InputError, match=r"a: metrics\.json is of 3 pictures and predictions\.jsonl of 2"):
        read_evaluations([folder])


def test_pictures_are_those_that_the_last_evaluation_kept(tmp_path):
    assert pictures_of([tmp_path / "a", tmp_path / "b"]) is None
    for name in "ab":
        (tmp_path / name / "source").mkdir(parents=True)
    assert pictures_of([tmp_path / "a", tmp_path / "b"]) == tmp_path / "b" / "source"
