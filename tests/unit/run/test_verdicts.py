"""The gate's verdict beside a run's records."""

from globe.run.records import read_records
from globe.run.verdicts import FILE, Verdict, read_verdict, write_verdict

JUDGED = {"verdict": "inconclusive", "decision": "reject", "reasons": ["n 20", "too few"], "n": 20}
METRICS = {"n": 20, "accuracy": {"25": 10.0, "200": float("nan"), "750": None}, "median_km": 812.5, "parsed_percent": 90.0}


def test_a_verdict_comes_back_with_its_reasons_and_the_figures_that_are_numbers(tmp_path):
    write_verdict(str(tmp_path), "run-1", JUDGED, METRICS)
    figures = {"pictures": 20.0, "within_25_km_percent": 10.0, "median_km": 812.5}
    assert read_verdict(str(tmp_path), "run-1") == Verdict("inconclusive", "reject", ("n 20", "too few"), figures)


def test_it_is_no_record_of_a_stage(tmp_path):
    write_verdict(str(tmp_path), "run-1", JUDGED, METRICS)
    noted = []
    assert read_records(str(tmp_path), "run-1", noted.append) == []
    assert noted == []


def test_a_verdict_that_is_missing_damaged_or_another_runs_is_none(tmp_path):
    write_verdict(str(tmp_path), "run-1", JUDGED, METRICS)
    assert read_verdict(str(tmp_path), "run-2") is None
    assert read_verdict(str(tmp_path), "") is None
    path = tmp_path / "runs" / "run-1" / FILE
    whole = path.read_text()
    for damaged in ('{"verdict": "promote"}', whole.replace("10.0", "NaN"), whole.replace('"too few"', "7"), "[]", whole[:90]):
        path.write_text(damaged)
        assert read_verdict(str(tmp_path), "run-1") is None, damaged


def test_a_store_that_cannot_be_written_does_not_fail_the_gate(tmp_path, capsys):
    (tmp_path / "runs").write_text("in the way")
    write_verdict(str(tmp_path), "run-1", JUDGED, METRICS)
    assert "[gate] note the end of the run will not tell the reasons" in capsys.readouterr().err
