"""What an evaluation's figures say, before a page is made of them."""

from dataclasses import replace

from report_sample import further_keys

from globe.geo.distance import THRESHOLDS_KM
from globe.report.accuracy import THRESHOLD_WORDS, accuracy, changes, evaluated, headline


def test_every_distance_has_a_row_with_its_word(after):
    rows = accuracy(evaluated([after]))["rows"]
    assert [row["note"] for row in rows[: len(THRESHOLDS_KM)]] == [THRESHOLD_WORDS[km] for km in THRESHOLDS_KM]
    assert rows[-3]["name"] == "within 2,500 km"


def test_the_last_evaluation_has_the_accent_colour_whatever_their_number(before, after):
    assert [one.series for one in evaluated([before, after])] == [3, 4]
    assert [one.series for one in evaluated([after])] == [4]
    assert [one.series for one in evaluated([after] * 7)] == [0, 0, 0, 1, 2, 3, 4]


def test_a_change_is_up_or_down_only_where_its_interval_leaves_zero_out(before, after):
    entry = {"difference": 2.0, "ci95": [-1.0, 5.0]}
    unsure = replace(after, change={"accuracy": {"25": entry, "200": entry | {"ci95": [0.5, 3.5]}}, "country_match": None})
    (row,) = changes(evaluated([before, unsure]))
    assert [cell["kind"] for cell in row["cells"]] == ["open", "open", "up", "open", "open", "open"]


def test_the_headline_shows_the_way_through_training(before, after):
    tiles = headline(evaluated([before, after]))["tiles"]
    assert [(step["name"], step["text"]) for step in tiles[1]["path"]] == [("before SFT", "0.0%")]
    assert tiles[1]["text"] == "66.7%"


def test_what_was_expected_beforehand_stands_beside_what_was_measured(after):
    told = replace(after, metrics=after.metrics | {"expected": further_keys(2997)["expected"]})
    said = "expected beforehand 37.0 to 40.0% within 25 km, measured 38.1%, 95%: 36.4 to 39.9 (n = 2,997): as expected"
    assert headline(evaluated([told]))["expected"] == [f"after GRPO: {said}"]
    short = replace(after, metrics=after.metrics | {"expected": {"within_25_km_percent": [61, 63]}})
    assert headline(evaluated([short]))["expected"] == ["after GRPO: expected beforehand 61.0 to 63.0% within 25 km"]
    assert headline(evaluated([after]))["expected"] == []
