"""What is said about confidence is what metrics.json says."""

from dataclasses import replace

from report_sample import further_keys

from globe.report.accuracy import evaluated
from globe.report.trust import trust


def told(view, **keys):
    return evaluated([replace(view, metrics=view.metrics | keys)])


def test_without_confidence_nothing_is_said(after):
    assert trust(told(after)) is None
    assert trust([]) is None


def test_the_reliability_plot_has_a_point_for_each_bin(after):
    found = trust(told(after, confidence=further_keys(5500)["confidence"]))
    assert [kind["key"] for kind in found["kinds"]] == ["answer_probability", "agreement"]
    (row,) = found["kinds"][0]["rows"]
    assert row["points"][0] == {"x": 5.0, "y": 96.0}
    assert row["whiskers"][0] == {"x": 5.0, "top": 92.0, "bottom": 99.0}
    assert [one["n"] for one in row["bins"]] == [f"{100 * (1 + i):,}" for i in range(10)]
    assert (row["ece"], row["aurc"], row["n"]) == ("17.3%", "0.361", "5,500")
    assert (row["half"], row["whole"]) == ("64.5%", "37.0%")


def test_a_radius_that_covers_less_than_promised_says_so(after):
    radius = further_keys(1000)["radius"]
    (kept,) = trust(told(after, radius=radius))["radii"]
    (broken,) = trust(told(after, radius=radius | {"coverage_percent": 80.0, "ci95": [77.0, 83.0]}))["radii"]
    assert (kept["kept"], broken["kept"]) == (True, False)
    assert [row["name"] for row in kept["rows"]][:2] == ["everywhere", "Africa"]
    assert kept["rows"][1]["note"] == "n = 950"


def test_abstention_is_told_with_its_interval(after):
    (one,) = trust(told(after, abstention=further_keys(340)["abstention"]))["abstention"]
    assert (one["auroc"], one["interval"], one["n"], one["localizable"]) == ("0.73", "0.70 to 0.76", "340", "320")
