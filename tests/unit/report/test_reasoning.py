"""Grounding, the image-swap control and recall against area as the page shows them."""

from dataclasses import replace

import pytest
from report_sample import further_keys

from globe.report.accuracy import evaluated
from globe.report.reasoning import reasoning


def told(view, **keys):
    return reasoning(evaluated([replace(view, metrics=view.metrics | keys)]))


def test_without_any_of_it_there_is_no_section(after):
    assert told(after) is None
    assert told(after, grounding={}, image_swap={}, recall_area=[]) is None


def test_the_swap_shows_each_picture_with_its_interval_and_the_differences(after):
    (swap,) = told(after, image_swap=further_keys(900)["image_swap"])["swaps"]
    assert [row["marks"][0]["text"] for row in swap["rows"]] == ["64.0%", "51.2%", "33.8%"]
    assert (swap["rows"][1]["marks"][0]["mark"].low, swap["n"]) == (50.1, "900")
    assert [(one["name"], one["text"], one["interval"]) for one in swap["differences"]] == [
        ("its own less another of the same country", "+12.8", "+11.9 to +13.7"),
        ("its own less one of another country", "+30.2", "+29.2 to +31.2"),
    ]


def test_recall_against_area_has_a_curve_for_each_radius(after):
    (area,) = told(after, recall_area=further_keys(900)["recall_area"])["areas"]
    assert [curve["name"] for curve in area["curves"]][1:3] == ["within 25 km of an answer", "within 200 km of an answer"]
    assert [len(curve["rows"]) for curve in area["curves"]] == [8] * 5
    assert area["curves"][1]["ends"] == "37.2% with one answer, 50.4% with 8"
    for curve in area["curves"]:
        x = [float(point.split()[0]) for point in curve["line"].removeprefix("M").split("L")]
        assert x == sorted(x)
        assert all(0 <= at <= 1000 for at in x)


@pytest.mark.parametrize("odd", [[None], [{"answers": 1}], [{"area_km2": 0, "recall_percent": 3.0}], "text", {"a": 1}])
def test_figures_that_cannot_be_drawn_are_left_out(after, odd):
    assert told(after, recall_area=odd) is None


def test_grounding_tells_how_many_cues_and_pictures_are_behind_it(after):
    (one,) = told(after, grounding=further_keys(900)["grounding"])["grounding"]
    assert (one["percent"], one["named"], one["in_picture"], one["n"], one["interval"]) == (
        "64.0%", "41,210", "26,374", "900", "63.1 to 64.9%",
    )  # fmt: skip
