"""`globe score` and `compare`: what they take, what they print, and how they refuse bad tables."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import globe, refused

from globe import console
from globe.cli import evaluation
from globe.figures import metrics

TRUTH = "id,lat,lon,country,city\na,48.85,2.35,France,Paris\nb,52.52,13.40,Germany,Berlin\nc,35.69,139.69,Japan,Tokyo\n"


def score(tmp_path: Path, predictions: str, truth: str = TRUTH, name: str = "p.csv") -> subprocess.CompletedProcess[str]:
    (tmp_path / "t.csv").write_text(truth)
    (tmp_path / name).write_text(predictions)
    return globe("score", "--truth", str(tmp_path / "t.csv"), "--predictions", str(tmp_path / name), "--json")


@pytest.mark.parametrize(
    "predictions",
    [
        "id,country,city\na,France,Paris\nb,Deutschland,Berlin\nc,Japan,東京\n",
        "id,lat,lon\na,48.85,2.35\nb,52.52,13.40\nc,35.69,139.69\n",
        'id,answer\na,"<answer>country: France\ncity: Paris</answer>"\nb,"country: Germany, city: Berlin"\n'
        'c,"<think>x</think><answer>Country: Japan\nCity: Tokyo"\n',
        "IMG_ID\tLATITUDE\tLONGITUDE\na\t48.85\t2.35\nb\t52.52\t13.40\nc\t35.69\t139.69\n",
        '\ufeffid,"lat",lon\r\nc,35.69,139.69\r\nb,52.52,13.40\r\na,48.85,2.35\r\n',
    ],
)
def test_score_takes_positions_names_or_answers(tmp_path: Path, predictions: str) -> None:
    result = score(tmp_path, predictions)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    assert (document["n"], document["failed"], document["accuracy"]["25"]) == (3, 0, 100.0)
    assert document["ci95"]["25"] == [43.8503, 100.0]


def test_score_says_what_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "PATIENCE_S", 0.0)
    whole = metrics.summarize
    monkeypatch.setattr(metrics, "summarize", lambda *given, **more: time.sleep(1.5) or whole(*given, **more))
    (tmp_path / "t.csv").write_text(TRUTH)
    (tmp_path / "p.csv").write_text("id,country\na,France\n")
    evaluation.score(tmp_path / "t.csv", tmp_path / "p.csv", rounds=10, seed=0)
    assert f"{tmp_path / 'p.csv'}: scoring for 1 s ..." in capsys.readouterr().err


def test_score_counts_an_answer_that_its_evaluation_counts_as_none_as_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRUTH)
    answers = {"ok": "<answer>country: France\ncity: Paris</answer>", "cut_off": "<answer>country: Germany\ncity: Berl"}
    rows = [{"id": i, "status": status, "text": text} for i, (status, text) in zip("ab", answers.items(), strict=True)]
    (tmp_path / "predictions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = globe("score", "--truth", str(tmp_path / "t.csv"), "--predictions", str(tmp_path / "predictions.jsonl"), "--json")
    summary = json.loads(result.stdout)
    assert (summary["parsed"], summary["country_match"]) == (1, pytest.approx(100 / 3, abs=0.01))
    assert (summary["failures"]["cut_off"], summary["failures"]["no_answer"]) == (1, 1)


def test_score_counts_what_is_absent_unread_or_nowhere_as_wrong(tmp_path: Path) -> None:
    result = score(tmp_path, "id,answer,country,city\na,I do not know,,\nb,,Atlantis,Foo\n")
    document = json.loads(result.stdout)
    assert (document["n"], document["failed"], document["accuracy"]["2500"]) == (3, 3, 0.0)
    assert document["failures"] == {"no_answer": 1, "not_parsed": 1, "not_geocoded": 1, "cut_off": 0, "call_failed": 0}


@pytest.mark.parametrize(
    ("predictions", "truth", "parts"),
    [
        ("id,country,city\na,France,Paris\na,France,Lyon\n", TRUTH, ["p.csv: row 3", "'a'", "twice"]),
        ("id,country,city\nz,France,Paris\n", TRUTH, ["p.csv: row 2", "'z'", "not in"]),
        ("id,lat,lon\na,148.85,2.35\n", TRUTH, ["p.csv: row 2", "out of range", "swapped"]),
        ("id,lat,lon\na,48.85,361\n", TRUTH, ["p.csv: row 2", "out of range"]),
        ("id,lat,lon\na,nan,2.35\n", TRUTH, ["p.csv: row 2", "nan"]),
        ("id,lat,lon\na,inf,2.35\n", TRUTH, ["p.csv: row 2", "inf"]),
        ("id,lat,lon\na,north,2.35\n", TRUTH, ["p.csv: row 2", "north"]),
        ("id,lat,lon\na,48.85,\n", TRUTH, ["p.csv: row 2", "lon"]),
        ("id,lat\na,48.85\n", TRUTH, ["p.csv: row 1", "together"]),
        ("id,lat,lon,lat\na,48.85,2.35,1\n", TRUTH, ["p.csv: row 1", "'lat'", "twice"]),
        ("id,lat,lon\na,4_8.85,2.35\n", TRUTH, ["p.csv: row 2", "4_8.85"]),
        (f"id,lat,lon\na,{'9' * 5000},2.35\n", TRUTH, ["p.csv: row 2", "'999", "'..., not a number"]),
        ("id,lat,lon\na,2.35,48.85\nb,52.52,13.40\n", TRUTH, ["p.csv: 1 of 2 positions", "'a'", "swapped"]),
        ("id,lat,lon\na,48.85,2.35\n", "id,lat,lon\na,2.35,48.85\n", ["p.csv: 1 of 1 positions", "t.csv", "swapped"]),
        ("id,name\na,Paris\n", TRUTH, ["p.csv: row 1", "columns", "name"]),
        ("country,city\nFrance,Paris\n", TRUTH, ["p.csv: row 1", "columns"]),
        ("id,country,city\n", TRUTH, ["p.csv", "no predictions"]),
        ("", TRUTH, ["p.csv", "columns"]),
        ("id,country,city\na,France\n", TRUTH, ["p.csv: row 2", "fields"]),
        ("id,country,city\na ,France,Paris\n", TRUTH, ["p.csv: row 2", "'a '", "blanks at its ends"]),
        ("id,country,city\na,France,Paris\n", "id,lat,lon\n a,1,2\n", ["t.csv: row 2", "' a'", "blanks at its ends"]),
        ("id,country,city\na,France,Paris\n", "id,lat,lon,localizable\na,1,2,maybe\n", ["t.csv: row 2", "'maybe'", "true"]),
        (TRUTH, TRUTH, ["p.csv", "t.csv", "the truth"]),
        (
            "IMG_ID,LAT,LON,pred_lat,pred_lon\na,48.85,2.35,1,2\n",
            TRUTH,
            ["p.csv: row 1", "LAT, LON beside pred_lat, pred_lon", "true_lat"],
        ),
        ('id,country,city\na,"France,Paris\n', TRUTH, ["p.csv: row 2", "not CSV"]),
        ("id,country,city\na,France,Paris\n", TRUTH + "a,1,1,France,Paris\n", ["t.csv: row 5", "twice"]),
        ("id,country,city\na,France,Paris\n", "id,lat,lon\na,,\n", ["t.csv: row 2", "position"]),
        ("id,country,city\na,France,Paris\n", "id,lat\na,1\n", ["t.csv: row 1", "lon"]),
        ("id,country,city\na,France,Paris\n", "id,lat,lon\n,1,2\n", ["t.csv: row 2", "id is empty"]),
        (
            "id,country,city\na,Kenya,Nairobi\n",
            "id,lat,lon,country,city\na,36.82,-1.28,Kenya,Nairobi\n",
            ["t.csv: row 2", "swap"],
        ),
    ],
)
def test_score_refuses_bad_tables_by_file_row_and_reason(tmp_path: Path, predictions: str, truth: str, parts: list[str]) -> None:
    refused(score(tmp_path, predictions, truth), *parts)


@pytest.mark.parametrize(("place", "says"), [("", "not a path"), ("s3://bucket/evaluation", "is not on this machine")])
def test_score_and_compare_refuse_what_is_no_path_of_this_machine(place: str, says: str) -> None:
    refused(globe("score", "--truth", place, "--predictions", "p.csv"), says)
    refused(globe("score", "--truth", "t.csv", "--predictions", place), says)
    refused(globe("compare", place, "."), says)
    refused(globe("compare", ".", place), says)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ('{"id": "a", "answer": {"country": "France"}}', ["p.jsonl: row 1", "answer is an object"]),
        ('{"id": "a", "country": ["France"], "city": ["Paris"]}', ["p.jsonl: row 1", "country is a list"]),
        ('{"id": "a", "lat": true, "lon": 2.35}', ["p.jsonl: row 1", "lat", "True"]),
        ('{"id": "a", "lat": NaN, "lon": 2.35}', ["p.jsonl: row 1", "lat", "nan"]),
        ('{"id": "a", "lat": 1e999, "lon": 2.35}', ["p.jsonl: row 1", "lat", "inf"]),
        ('[{"id": "a"}]', ["p.jsonl: row 1", "list"]),
    ],
)
def test_score_refuses_json_values_that_are_neither_text_nor_number(tmp_path: Path, row: str, parts: list[str]) -> None:
    refused(score(tmp_path, row + "\n", name="p.jsonl"), *parts)


def test_score_takes_rows_whose_unused_columns_hold_anything(tmp_path: Path) -> None:
    row = {"id": "a", "country": "France", "city": "Paris", "usage": {"tokens": [1]}, "note": None}
    assert score(tmp_path, json.dumps(row) + "\n", name="p.jsonl").returncode == 0


def test_score_takes_answers_with_separators_that_only_unicode_knows(tmp_path: Path) -> None:
    predictions = "id,answer\na,<think>x\u2028y\x0b\x85</think><answer>country: France</answer>\n"
    document = json.loads(score(tmp_path, predictions).stdout)
    assert (document["parsed"], document["failures"]["no_answer"]) == (1, 2)


def test_a_wrong_position_here_and_there_that_is_a_mirror_image_is_a_wrong_position(tmp_path: Path) -> None:
    truth = "id,lat,lon\n" + "".join(f"{i},48.85,2.35\n" for i in range(6))
    predictions = "id,lat,lon\n0,2.35,48.85\n" + "".join(f"{i},48.85,2.35\n" for i in range(1, 6))
    result = score(tmp_path, predictions, truth)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["accuracy"]["25"] == pytest.approx(100 * 5 / 6, abs=1e-3)


def test_compare_reads_two_evaluation_folders(tmp_path: Path) -> None:
    truth = {"country": "France", "city": "Paris", "lat_deg": 48.85, "lon_deg": 2.35}
    for name, lon in (("a", 10.0), ("b", 2.35)):
        (tmp_path / name).mkdir()
        lines = [
            json.dumps(
                {"id": str(i), "status": "ok", "country": "France", "city": "", "lat_deg": 48.85, "lon_deg": lon, "truth": truth}
            )
            for i in range(20)
        ]
        (tmp_path / name / "predictions.jsonl").write_text("\n".join(lines))
    both = str(tmp_path / "a"), str(tmp_path / "b")
    found = json.loads(globe("compare", *both, "--json", "--set", "gate.min_pictures=20", "--power", "100").stdout)
    assert (found["verdict"], found["n"], found["rule"]["margin_percent"]) == ("promote", 20, 1.0)
    assert found["power"] == {"points": 100.0, "power_percent": 80.0, "needed_pictures": 4}
    assert "B against A: inconclusive" in globe("compare", *both).stdout
    assert "(A), n 20: " in globe("compare", *both, "--recipe", "demo").stdout
    refused(globe("compare", *both, "--power", "0"), "--power 0", "above 0")
    refused(globe("compare", *both, "--set", "gate.max_drop_percent=1"), "max_drop_percent")
    nothing = {"status": "call_failed", "error": "refused", "lat_deg": None, "lon_deg": None}
    failed = [json.dumps(json.loads(line) | nothing) for line in lines]
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "predictions.jsonl").write_text("\n".join(failed))
    refused(globe("compare", str(tmp_path / "a"), str(tmp_path / "failed")), "all 20 calls failed", "failed")
    # Where both lack the same half, all of that would be ties.
    (tmp_path / "failed" / "predictions.jsonl").write_text("\n".join(failed[:10] + lines[10:]))
    refused(globe("compare", *[str(tmp_path / "failed")] * 2), "10 of 20 calls failed, which is an outage")
    refused(globe("compare", str(tmp_path / "a"), str(tmp_path / "nothing")), "predictions.jsonl")
    (tmp_path / "b" / "predictions.jsonl").write_text('{"id": "0"}\n')
    refused(globe("compare", str(tmp_path / "a"), str(tmp_path / "b")), "row 1", "not a prediction")


def test_score_takes_columns_that_are_marked_as_predictions(tmp_path: Path) -> None:
    predictions = "IMG_ID,pred_lat,Predicted Lon,note\na,48.86,2.36,x\nb,52.52,13.40,y\nc,1,2,z\n"
    assert json.loads(score(tmp_path, predictions).stdout)["accuracy"]["25"] == pytest.approx(200 / 3, abs=1e-3)


def test_score_refuses_an_evaluation_in_which_every_call_failed(tmp_path: Path) -> None:
    rows = [{"id": i, "status": "call_failed", "error": "HTTP 503\nbusy", "country": None} for i in "abc"]
    result = score(tmp_path, "\n".join(map(json.dumps, rows)), name="p.jsonl")
    refused(result, "p.jsonl: all 3 calls failed", "the first: HTTP 503 busy")


def test_score_says_which_answers_are_only_a_countrys_and_why_calls_failed(tmp_path: Path) -> None:
    truth = "id,lat,lon,country,city\n" + "".join(f"{i},13.75398,100.50144,Thailand,Bangkok\n" for i in "abc")
    rows = [
        {"id": "a", "answer": "<answer>country: Thailand\ncity: Toronto</answer>"},
        {"id": "b", "answer": "<answer>country: Thailand</answer>"},
        {"id": "c", "status": "call_failed", "error": "\x1b[2Jtimed out"},
    ]
    (tmp_path / "t.csv").write_text(truth)
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shown = globe("score", "--truth", str(tmp_path / "t.csv"), "--predictions", str(tmp_path / "p.jsonl")).stdout
    assert "2 of them placed by the country alone (66.7%; 1 named a city that was not found)" in shown
    assert "1 x timed out" in shown
    assert not {"\x1b", "nan", "inf"} & {shown[i : i + n] for n in (1, 3) for i in range(len(shown))}
