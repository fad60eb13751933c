"""The commands as people call them: what they print, and how they refuse bad input."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import globe, globe_process, refused

from globe.rewards import REWARDS

TRUTH = "id,lat,lon,country,city\na,48.85,2.35,France,Paris\nb,52.52,13.40,Germany,Berlin\nc,35.69,139.69,Japan,Tokyo\n"
ROW = {
    "completion": "<think>a church</think><answer>country: France\ncity: Paris</answer>",
    "solution": {"country": "France", "city": "Paris"},
    "entities": ["church"],
}


def test_geocode_prints_one_json_line_a_query_from_arguments_and_stdin() -> None:
    result = globe_process(
        "geocode", "München, Germany", "-", "Atlantis, Nowhere", "--json", stdin="東京, 日本\n\nFrance\n".encode()
    )
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert [r["query"] for r in rows] == ["München, Germany", "東京, 日本", "France", "Atlantis, Nowhere"]
    assert [r["match"] for r in rows] == ["alias", "alias", "country", "none"]
    assert [r["found"] for r in rows] == [True, True, True, False]
    assert (rows[0]["city"], rows[0]["country"], rows[0]["country_code"], rows[0]["geonames_id"]) == (
        "Munich",
        "Germany",
        "DE",
        2867714,
    )
    assert rows[0]["lat_deg"] == pytest.approx(48.137, abs=0.01)
    assert globe("geocode", "Paris, France").stdout.split("\t")[2] == "Paris"


def test_geocode_prints_one_line_a_query_whatever_is_in_it() -> None:
    lines = globe("geocode", "Paris,\n\tFrance", "Nowhere\tat\r\nall").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["Paris, France", "Nowhere at all"]
    assert [len(line.split("\t")) for line in lines] == [13, 13]


def test_bad_input_ends_a_real_process_with_code_2_too(tmp_path: Path) -> None:
    refused(globe_process("reward", str(tmp_path / "no.jsonl")), "no.jsonl", "no such file")


def test_geocode_refuses_what_is_no_text_and_unknown_geocoders() -> None:
    refused(globe("geocode", "-", stdin=b"\xff\xfe\x00"), "stdin", "UTF-8")
    refused(globe("geocode", "Paris", "--geocoder", "bing"), "offline, nominatim or azure")
    assert globe("geocode").returncode == 2


def test_reward_prints_each_score_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "completion": None}) + "\n")
    result = globe("reward", str(path), "--rewards", "accuracy,visual,format", "--json")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert result.returncode == 0
    assert first["row"] == 1
    assert {n: s["score"] for n, s in first["scores"].items()} == {"accuracy": 1.0, "visual_precision": 1.0, "format": 1.0}
    assert all(s["reason"] for s in first["scores"].values())
    assert {s["score"] for s in second["scores"].values()} == {0.0}
    assert list(json.loads(globe("reward", str(path), "--json").stdout.splitlines()[0])["scores"]) == list(REWARDS)
    assert "accuracy 1.000" in globe("reward", str(path)).stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(("to", "reason"), [(">/dev/full", "No space left"), (">&-", "stdout is closed")])
def test_output_that_cannot_be_written_is_one_line_and_code_1(tmp_path: Path, to: str, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    command = f'exec "$0" -m globe.cli reward "$1" --json {to}'
    result = subprocess.run(["/bin/sh", "-c", command, sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{", ["row 2", "not JSON"]),
        ("[1]", ["row 2", "not a JSON object"]),
        ("[" * 100_000, ["row 2", "not JSON"]),
        (json.dumps({k: v for k, v in ROW.items() if k != "completion"}), ["row 2", "completion"]),
        (json.dumps({k: v for k, v in ROW.items() if k != "entities"}), ["row 2", "entities"]),
        (
            json.dumps({**ROW, "solution": {"country": "France", "lat_deg": 139.7, "lon_deg": 35.7}}),
            ["row 2", "lat_deg 139.7", "swapped"],
        ),
        (json.dumps({**ROW, "solution": {"country": "France", "lat_deg": float("nan"), "lon_deg": 0}}), ["row 2", "nan"]),
        (json.dumps({**ROW, "id": "x\ny", "solution": {}}), ["row 2", "solution.country"]),
    ],
)
def test_reward_refuses_broken_rows_and_prints_nothing_half(tmp_path: Path, line: str, parts: list[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + line + "\n")
    refused(globe("reward", str(path), "--json"), str(path), *parts)


def test_reward_refuses_missing_files_and_unknown_rewards(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    refused(globe("reward", str(path)), str(path), "no such file")
    refused(globe("reward", str(tmp_path)), "cannot be read")
    path.write_bytes(b"\xff\xff")
    refused(globe("reward", str(path)), "UTF-8")
    path.write_text("")
    refused(globe("reward", str(path)), "no rows")
    path.write_text(json.dumps(ROW))
    refused(globe("reward", str(path), "--rewards", "beauty"), "beauty", "accuracy")


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
    assert document["ci95"]["25"] == [100.0, 100.0]


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
    result = globe("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json")
    assert json.loads(result.stdout)["verdict"] == "b is better"
    assert "b is better" in globe("compare", str(tmp_path / "a"), str(tmp_path / "b")).stdout
    refused(globe("compare", str(tmp_path / "a"), str(tmp_path / "nothing")), "predictions.jsonl")
    (tmp_path / "b" / "predictions.jsonl").write_text('{"id": "0"}\n')
    refused(globe("compare", str(tmp_path / "a"), str(tmp_path / "b")), "row 1", "not a prediction")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert "geocode" in globe_process("--help").stdout
        times.append(time.perf_counter() - start)
    assert min(times) < 0.8  # 0.4 s on a machine with nothing else to do
    heavy = "{'numpy', 'torch', 'pandas', 'kfp', 'swift', 'geopy', 'pydantic'}"
    script = f"import sys, globe.cli.app; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_list_of_commands_says_what_each_does_in_a_whole_sentence() -> None:
    commands = globe("--help").stdout.partition("Commands:\n")[2].strip().splitlines()
    assert len(commands) > 5
    assert [line for line in commands if not line.endswith(".") or line.endswith("..")] == []


def test_the_help_of_geocode_names_every_column_that_it_prints() -> None:
    row = json.loads(globe("geocode", "Paris, France", "--json").stdout)
    described = " ".join(globe("geocode", "--help").stdout.split())
    assert ", ".join(row) in described
    assert len(row) == len(globe("geocode", "Paris, France").stdout.rstrip("\n").split("\t"))


def test_an_error_of_the_machine_that_nobody_expected_is_one_line_and_code_1(tmp_path: Path) -> None:
    """The cache folder's file system is full when the gazetteer is to be built there."""
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); from globe.cli.app import main; main()"
    )
    command = [sys.executable, "-c", script, "geocode", "Paris, France"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"GLOBE_CACHE_DIR": str(tmp_path)}
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert "File too large" in result.stderr.splitlines()[-1]
