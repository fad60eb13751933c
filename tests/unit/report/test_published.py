"""Published figures stand beside an evaluation of the same data set, and none of them is ours."""

from dataclasses import replace

import pytest

from globe.report.accuracy import evaluated
from globe.report.published import Published, beside_published, published


def on(view, name, **more):
    return replace(view, metrics=view.metrics | {"dataset": {"name": name}} | more)


def test_an_evaluation_of_an_unknown_data_set_stands_alone(after):
    assert beside_published(evaluated([on(after, "holiday photos")])) is None
    assert beside_published(evaluated([after])) is None
    assert beside_published([]) is None


@pytest.mark.parametrize("name", ["im2gps3k", "img2gps3k", " IM2GPS3K "])
def test_a_data_set_is_known_by_each_of_its_names(after, name):
    found = beside_published(evaluated([on(after, name)]))
    assert found is not None
    assert found["title"] == "IM2GPS3K"


def test_the_paper_and_its_rerun_are_both_there_with_their_sources(after):
    found = beside_published(evaluated([on(after, "mp16-reason-test")]))
    rows = {(row["name"], row["note"]): [cell["text"] for cell in row["cells"]] for row in found["theirs"]}
    assert rows["GLOBE-7B", "paper"] == ["17.99", "62.85", "73.83", "86.68", "92.52"]
    assert rows["GLOBE-7B", "rerun with Azure Maps"] == ["–", "60.95", "74.00", "86.12", "92.98"]
    assert rows["Qwen2.5-VL-7B", ""] == ["?", "52.72", "62.86", "?", "?"]
    assert [found["sources"][row["mark"] - 1] for row in found["theirs"]] == [row["source"] for row in found["theirs"]]


def test_rows_are_ranked_within_25_km_and_unknown_figures_come_last(after):
    found = beside_published(evaluated([on(after, "mp16-reason-test")]))
    shares = [row["cells"][1]["share"] for row in found["theirs"]]
    assert shares[:-1] == sorted(shares[:-1], reverse=True)
    assert shares[-1] is None


def test_evaluations_of_other_data_sets_are_not_shown_beside_it(before, after):
    found = beside_published(evaluated([on(before, "yfcc4k"), on(after, "im2gps3k")]))
    assert [row["name"] for row in found["ours"]] == ["after GRPO"]


def test_another_number_of_pictures_is_said(after):
    assert beside_published(evaluated([on(after, "im2gps3k")]))["partial"] == ["after GRPO"]
    assert beside_published(evaluated([on(after, "im2gps3k", n=2997)]))["partial"] == []


def test_the_differences_of_protocol_are_named():
    names = {one.name for one in published().everywhere}
    assert {"geocoder", "within 1 km", "failed answers", "prompt and decoding"} <= names
    assert any("one rerun" in one.text for one in published().datasets["im2gps3k"].differences)


def test_a_row_without_a_listed_source_is_refused():
    row = {"model": "x", "km": [1, 2, 3, 4, 5], "source": "hearsay"}
    with pytest.raises(ValueError, match="hearsay"):
        Published.model_validate({"sources": {}, "everywhere": [], "datasets": {"a": {"title": "A", "rows": [row]}}})


def test_shares_grow_with_distance_in_every_row():
    for dataset in published().datasets.values():
        for row in dataset.rows:
            known = [share for share in row.km if isinstance(share, float | int)]
            assert known == sorted(known), row
