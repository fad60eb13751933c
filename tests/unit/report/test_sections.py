"""The sections beside the figures: maps, pictures, curation, stages and the gate's verdict."""

from globe.report.accuracy import evaluated
from globe.report.sections import curation, maps, pictures, stages, verdict
from globe.report.views import StageRow


def test_the_bands_of_the_map_are_those_of_the_distances(after):
    assert maps(evaluated([after]))["bands"] == ["up to 200 km", "200 to 750 km", "750 to 2,500 km", "over 2,500 km"]


def test_a_picture_shows_what_each_evaluation_said_of_it(before, after):
    cards = pictures(evaluated([before, after]), None, {"right": 1, "wrong": 0, "unplaced": 1})["cards"]
    assert [(card["id"], [answer["name"] for answer in card["answers"]]) for card in cards] == [
        ("p0", ["Tokyo, Japan", "Paris, France"]),
        ("p11", ["answer not readable", "answer not readable"]),
    ]


def test_removed_pictures_are_ranked_by_how_many_there_are():
    found = curation({"in": 10, "kept": 4, "dropped": {"a_few": 1, "many": 5, "none": 0}, "quarantined": {}})
    assert [(row.name, row.signed_count) for row in found["rows"]] == [
        ("pictures in", "10"),
        ("many", "−5"),
        ("a few", "−1"),
        ("passed every check", "4"),
    ]


def test_a_stage_that_did_not_run_has_no_time():
    rows = stages([StageRow("sft", "done", 120.0), StageRow("grpo", "failed", 0.0), StageRow("gate", "skipped", 3.0)])
    assert [(row["time"], row["share"]) for row in rows] == [("2 min 00 s", 100), ("–", 0), ("–", 0)]


def test_a_verdict_is_fine_or_not_and_may_be_absent():
    assert verdict(None) is None
    assert [verdict({"verdict": said})["fine"] for said in ("promote", "reject", "")] == [True, False, False]
