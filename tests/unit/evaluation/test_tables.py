"""Truths and predictions that users bring; `tests/unit/cli/test_evaluation_score.py` tests the message of each mistake."""

import json
from pathlib import Path

import pytest

from globe.asking.answers import Location, geocode
from globe.data.rows import Row
from globe.errors import InputError
from globe.evaluation.tables import predict, read_scored, read_truth
from globe.figures.metrics import name_matches, summarize
from globe.figures.predictions import prediction, write_predictions

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


def test_beside_a_position_the_country_counts_even_if_several_cities_are_named(files):
    (record, _) = read_scored(*files(TRUTH, "id,country,city,lat,lon\na,France,Paris or Lyon,48.86,2.36\n"))
    assert (record["status"], record["lat_deg"], name_matches(record)[:2]) == ("ok", 48.86, (True, False))


def test_a_truth_that_lies_in_its_place_only_with_its_coordinates_swapped_is_refused(files):
    with pytest.raises(InputError, match=r"t\.csv: row 2: .*with lat and lon swapped"):
        read_truth(files("id,lat,lon,country,city\na,36.82,-1.28,Kenya,Nairobi\n", "")[0])


def test_a_truth_with_a_tenth_of_its_positions_outside_their_countries_is_refused(files):
    right = [f"r{i},48.{i},2.3,France" for i in range(18)]
    at_sea = ["a,30.0,-40.0,Germany", "b,31.0,-41.0,Germany"]  # nowhere if they are swapped, either
    assert len(read_truth(files("\n".join(["id,lat,lon,country", *right, at_sea[0]]), "")[0])) == 19
    with pytest.raises(
        InputError, match=r"t\.csv: 2 of 20 positions are not in the country .*; row 20: lat 30, lon -40 is not in Ge"
    ):
        read_truth(files("\n".join(["id,lat,lon,country", *right, *at_sea]), "")[0])


def said(country: str, city: str, more: str = "") -> str:
    return f"<think>red roofs</think><answer>country: {country}\n{more}city: {city}</answer>"


AWKWARD = [
    "", "  \n", "I do not know.", "<think>Paris, France</think>", "<think>Paris, France</think><answer></answer>",
    said("France", "Paris"), said("Frankreich", "パリ"), said("France", ""), said("", "Paris"), said("Hong Kong", ""),
    said("France", "Paris; Lyon"), said("France", "Paris or Lyon"), said("France", "Lyon, Paris"), said("Peru", "a, b, c, d, e"),
    said("France or Spain", "Irun"), said("France", "Nowhereville"), said("Atlantis", "Nowhere"), said("Atlantis", "Paris"),
    said("China", "Hong Kong"), said("Texas", "Austin"), said("Bavaria", "Munich"), said("Texas", ""),
    said("USA", "Paris", "state: Texas\n"), said("USA", "Springfield", "region: Illinois\n"), said("USA", "Paris", "state: X\n"),
    "<think>a</think><answer>country: A\ncity: B</answer><answer>country: France\ncity: Paris</answer>",
    "<think>a</think><answer>country: France\ncountry: Spain\ncity: Irun</answer>",
    "<think>not <answer>country: Spain\ncity: Madrid</answer></think><answer>country: Italy\ncity: Rome</answer>",
    "<think>a</think><answer>country: Germany\ncity: Berl", "<think>a</think><answer>country: Germany\ncity: Berlin</ans",
    "<think>a</think><answer>country: Ger", "<think>It could be country: Spain, city: Madrid",
    "country: Germany, city: Berlin", "\n\nCity: Berlin", "**Country:** Peru\n**City:** Lima",
]  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
def test_a_text_in_a_table_is_the_place_that_an_evaluation_reads_from_it(text: str) -> None:
    asked, scored = geocode(text), predict("row 1", {"id": "a", "answer": text})
    assert (asked.status, asked.lat_deg, asked.lon_deg) == (scored["status"], scored["lat_deg"], scored["lon_deg"])
    assert (asked.country, asked.city) == (scored["country"] or "", scored["city"] or "")


@pytest.mark.parametrize("cut_off", [False, True])
def test_an_evaluations_own_predictions_score_as_it_scored_them(tmp_path: Path, cut_off: bool) -> None:
    truth, predictions = tmp_path / "truth.csv", tmp_path / "predictions.jsonl"
    truth.write_text("id,lat,lon,country,city\n" + "".join(f"{i},48.85,2.35,France,Paris\n" for i in range(len(AWKWARD))))
    records = []
    for i, text in enumerate(AWKWARD):
        row = Row(id=str(i), image=b"\x89PNG", lat_deg=48.85, lon_deg=2.35, country="France", city="Paris", split="test")
        records.append(prediction(row, geocode(text, cut_off=cut_off)))
    predictions.write_text("".join(json.dumps(record) + "\n" for record in records))
    for asked, scored in zip(records, read_scored(truth, predictions), strict=True):
        assert (asked["status"], asked["lat_deg"], asked["lon_deg"]) == (scored["status"], scored["lat_deg"], scored["lon_deg"])


def test_several_cities_are_no_answer_in_a_text_and_in_a_column() -> None:
    in_column = predict("row 1", {"id": "a", "country": "France", "city": "Paris; Lyon"})
    assert in_column == predict("row 1", {"id": "a", "answer": said("France", "Paris; Lyon")})
    assert (in_column["status"], in_column["lat_deg"]) == ("not_parsed", None)


def test_coordinates_go_before_names_and_names_before_the_text() -> None:
    row = {"id": "a", "lat": "1", "lon": "2", "country": "Peru", "city": "Lima", "answer": said("France", "Paris")}
    placed = {"status": "ok", "country": "Peru", "city": "Lima", "level": "", "lat_deg": 1.0, "lon_deg": 2.0}
    assert predict("row 1", row) == placed | {"error": ""}
    assert predict("row 1", row | {"lat": "", "lon": ""})["lat_deg"] == pytest.approx(-12.0, abs=0.2)
    assert predict("row 1", row | {"country": "", "city": ""})["city"] == "Paris"
    nowhere = predict("row 1", row | {"lat": "", "lon": "", "status": "cut_off"})
    assert nowhere == {"status": "cut_off", "level": "", "error": ""} | dict.fromkeys(("country", "city", "lat_deg", "lon_deg"))


@pytest.mark.parametrize(("city", "level"), [("Bangkok", "city"), ("Toronto", "country"), ("", "country")])
def test_names_say_how_precisely_they_place_a_picture(city: str, level: str) -> None:
    assert predict("row 1", {"id": "a", "country": "Thailand", "city": city})["level"] == level
    assert predict("row 1", {"id": "a", "answer": said("Thailand", city)})["level"] == level
    written = {"id": "a", "country": "Thailand", "city": city, "lat": "15.9", "lon": "100.9", "level": level}
    assert predict("row 1", written)["level"] == level


def test_an_evaluations_own_file_gives_the_very_figures_that_the_evaluation_wrote(tmp_path: Path) -> None:
    known = [
        {"scene": scene, "localizable": told, "photographer": who, "entities": ["red roofs"]}
        for scene, told, who in (("street", True, "ann"), ("beach", False, "bob"), ("street", None, "ann"))
    ]
    truth = {"lat_deg": 13.75, "lon_deg": 100.5, "country": "Thailand", "city": "Bangkok"}
    texts = [said("Thailand", "Toronto"), said("Thailand", "Bangkok"), said("France", "Paris"), "", said("Thailand", "")]
    records = []
    for i in range(30):
        row = Row(id=f"{i}.jpg", image=b"x", split="test", lat_deg=13.75, lon_deg=100.5, country="Thailand", city="Bangkok")
        answer = (
            Location("call_failed", error="HTTP 500") if i % 7 == 6 else geocode(texts[i % 5] and f"\u2028\x85{texts[i % 5]}")
        )
        records.append(prediction(row, answer) | {"truth": truth | known[i % 3], "confidence": 0.5})
    write_predictions(tmp_path, records)
    header = "id,lat,lon,country,city,localizable,scene,author"
    words = {True: "true", False: "no", None: ""}
    told = [f"{words[k['localizable']]},{k['scene']},{k['photographer']}" for k in known]
    lines = [f"{i}.jpg,13.75,100.5,Thailand,Bangkok,{told[i % 3]}" for i in range(30)]
    (tmp_path / "truth.csv").write_text("\n".join([header, *lines]))
    scored = read_scored(tmp_path / "truth.csv", tmp_path / "predictions.jsonl")
    assert [r["answer"] for r in scored] == [r["answer"] for r in records]
    written = summarize(records, rounds=20)
    assert json.loads(json.dumps(summarize(scored, rounds=20))) == json.loads(json.dumps(written))
    assert written["country_level"]["count"] > written["country_level"]["city_not_found"] > 0
    assert written["errors"] == {"HTTP 500": 4}


def test_an_evaluations_predictions_are_judged_by_the_truth_that_is_given_now(tmp_path: Path) -> None:
    row = Row(id="a", image=b"x", split="test", lat_deg=48.85, lon_deg=2.35, country="France", city="Paris")
    write_predictions(tmp_path, [prediction(row, geocode(said("Germany", "Berlin")))])
    (tmp_path / "truth.csv").write_text("id,lat,lon,country,city\na,52.52,13.40,Germany,Berlin\n")
    (record,) = read_scored(tmp_path / "truth.csv", tmp_path / "predictions.jsonl")
    assert summarize([record], rounds=1)["accuracy"]["25"] == 100.0
    assert record["distance_km"] < 2


def test_a_distance_without_a_position_is_none(tmp_path: Path) -> None:
    record = {"id": "a", "status": "not_parsed", "lat_deg": None, "lon_deg": None, "distance_km": 5.0}
    (tmp_path / "t.csv").write_text("id,lat,lon\na,1,1\nb,1,1\n")
    (tmp_path / "p.jsonl").write_text(json.dumps(record | {"truth": {"lat_deg": 1, "lon_deg": 1}}))
    found, _ = read_scored(tmp_path / "t.csv", tmp_path / "p.jsonl")
    assert (found["status"], found["distance_km"]) == ("not_parsed", None)


def test_a_level_is_read_in_upper_and_lower_case() -> None:
    assert predict("t: row 2", {"lat": "48.9", "lon": "2.4", "level": "Country"})["level"] == "country"
