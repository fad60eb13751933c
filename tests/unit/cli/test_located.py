"""Answers as lines, rows, cells and points."""

import json
from pathlib import Path

import pytest

from globe.cli.located import CsvFile, GeoJsonFile, columns, lines, row, safe_cell

ANSWER = {
    "status": "ok", "country": "Egypt", "city": "Cairo", "level": "city", "lat_deg": 30.0626, "lon_deg": 31.2497,
    "reasoning": "sand", "confidence": 0.5, "radius_km": 123.4, "radius_level_percent": 90.0,
}  # fmt: skip


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "＝1", "|x", "\tx"])
def test_no_text_is_a_formula(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-33.5, None, "Paris", "Baden-Baden", "", "2=1"])
def test_all_else_stays_as_it_is(value):
    assert safe_cell(value) == value


def test_an_answer_is_a_few_lines():
    others = [{"country": "Jordan", "city": "Petra", "lat_deg": 1.0, "lon_deg": 2.0, "share": 0.25}]
    assert list(lines(ANSWER | {"alternatives": others})) == [
        "Cairo, Egypt  [30.0626, 31.2497]  (confidence 50%)", "within 130 km with 90%",
        "or else: Petra, Jordan (25%)", "because: sand",
    ]  # fmt: skip


def test_a_city_that_was_not_found_is_never_shown_as_if_it_had_been():
    answer = ANSWER | {"city": "Darwin", "level": "country", "radius_km": None}
    assert list(lines(answer))[:2] == [
        "Darwin, Egypt  [30.0626, 31.2497, city not found: the country's centre]  (confidence 50%)",
        "city not found: Darwin is not in the gazetteer, so the position is the country's centre",
    ]
    assert "city not found: the country's centre" in columns(row(Path("p.jpg"), answer), [Path("p.jpg")])
    assert next(lines(answer | {"city": ""})).startswith("Egypt  [30.0626, 31.2497, the country's centre]")


def test_an_answer_without_a_place_says_so():
    none = {"status": "cut_off", "text": "I \x1b[31msee"}
    assert list(lines(none)) == ["no place could be read from the answer (cut off): I see"]
    assert columns(row(Path("p.jpg"), none), [Path("p.jpg")]) == "p.jpg  -  no place in the answer (cut off)"


def test_the_agreement_of_several_answers_is_their_confidence():
    assert row(Path("p"), ANSWER | {"agreement": 0.75})["confidence"] == 0.75
    assert row(Path("p"), ANSWER | {"agreement": None})["confidence"] == 0.5


def test_names_of_photos_line_up_and_long_ones_keep_their_ends():
    photos = [Path("a.jpg"), Path("b" * 50 + ".jpg")]
    told = [columns(row(photo, ANSWER), photos) for photo in photos]
    assert {line.index("Cairo") for line in told} == {42}
    assert told[1].startswith("…bbb")


def test_a_table_keeps_what_was_written_before_an_interruption(tmp_path):
    def interrupted() -> None:
        with CsvFile(tmp_path / "t.csv") as table, GeoJsonFile(tmp_path / "m") as chart:
            for add in (table.add, chart.add):
                add(row(Path("p.jpg"), ANSWER))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("p.jpg,ok,Egypt,Cairo")
    (feature,) = json.loads((tmp_path / "m").read_text())["features"]
    assert feature["geometry"]["coordinates"] == [31.2497, 30.0626]
