"""Slices: which are shown, and whose figures."""

from dataclasses import replace

from globe.report.accuracy import evaluated
from globe.report.slices import MOST_ROWS, slices, two_columns


def figures(n, share=50.0):
    return {"n": n, "country_match": 60.0, "accuracy": {"25": share, "750": 70.0}, "ci95": {"25": [40.0, 61.0]}, "median_km": 9.0}


def sliced(view, **kinds):
    return replace(view, metrics=view.metrics | {"slices": kinds})


def test_of_many_countries_those_with_the_most_pictures_are_shown(after):
    countries = {f"C{i:02d}": figures(n=i + 1) for i in range(40)}
    (group,) = slices(evaluated([sliced(after, country=countries)]))
    assert [row["name"] for row in group["rows"]] == [f"C{i:02d}" for i in range(39, 39 - MOST_ROWS, -1)]
    assert group["of"] == 40


def test_few_slices_keep_their_order(after):
    (group,) = slices(evaluated([sliced(after, continent={"Africa": figures(3), "Asia": figures(9)})]))
    assert [row["name"] for row in group["rows"]] == ["Africa", "Asia"]
    assert group["rows"][1]["note"] == "n = 9"


def test_each_evaluation_has_its_mark_with_its_interval(before, after):
    pair = [sliced(before, continent={"Asia": figures(9, 20.0)}), sliced(after, continent={"Asia": figures(9, 55.5)})]
    (group,) = slices(evaluated(pair))
    assert [cell["text"] for cell in group["rows"][0]["marks"]] == ["20.0%", "55.5%"]
    mark = group["rows"][0]["marks"][1]["mark"]
    assert (mark.low, mark.high) == (40.0, 61.0)


def test_a_slice_that_only_one_evaluation_has_is_shown_for_it_alone(before, after):
    pair = [sliced(before, scene={"coast": figures(4)}), sliced(after, scene={"street": figures(5)})]
    (group,) = slices(evaluated(pair))
    assert [[one["evaluation"] for one in row["figures"]] for row in group["rows"]] == [["before SFT"], ["after GRPO"]]


def test_without_slices_there_is_nothing(after):
    assert slices(evaluated([after])) == []
    assert slices([]) == []


def test_groups_fill_two_columns_evenly_and_in_order():
    groups = [{"title": title, "rows": [0] * size} for title, size in (("a", 7), ("b", 15), ("c", 5), ("d", 2))]
    assert [[group["title"] for group in column] for column in two_columns(groups)] == [["a", "c"], ["b", "d"]]
    assert two_columns(groups[:1]) == [groups[:1]]
    assert two_columns([]) == []
