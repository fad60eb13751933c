from dataclasses import replace
from pathlib import Path

import pytest
from page_reader import loaded, read_page
from report_sample import further_keys, many_records

from globe.figures.metrics import summarize
from globe.report import EvaluationView, evaluation_report
from globe.report.evaluation_report import write_evaluation_report, write_framed_report


def test_an_evaluations_page_has_its_own_sections_only(after: EvaluationView, pictures: Path, tmp_path: Path) -> None:
    view = replace(after, name="im2gps3k", metrics=after.metrics | {"model": "globe-7b"})
    write_evaluation_report(tmp_path / "out" / "report.html", [view], pictures)
    page = read_page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert {a["id"] for tag, a in page.tags if tag == "section"} == {"headline", "accuracy", "distances", "map", "pictures"}
    assert "im2gps3k model globe-7b pictures 12" in page.text[""]
    assert "places 66.7% within 25 km" in page.text["headline"]
    assert all(address.startswith(("data:image/", "#")) for address in loaded(page))
    assert sum(tag == "img" for tag, _ in page.tags) == 12


def test_nothing_but_the_page_is_left_behind(after: EvaluationView, pictures: Path, tmp_path: Path) -> None:
    write_evaluation_report(tmp_path / "out" / "report.html", [after], pictures)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


WHOLE = "s3://bucket/store/evaluation/k/policy/report.html"


def framed(tmp_path: Path, view: EvaluationView, pictures: Path | None) -> str:
    write_framed_report(tmp_path / "framed.html", [view], pictures, WHOLE)
    return (tmp_path / "framed.html").read_text(encoding="utf-8")


def test_a_page_for_a_frame_has_no_links_that_would_lead_out_of_it(after: EvaluationView, pictures: Path, tmp_path: Path) -> None:
    page = read_page(framed(tmp_path, after, pictures))
    assert not [a for tag, a in page.tags if tag == "a" and a["href"].startswith("#")]
    assert {a["id"] for tag, a in page.tags if tag == "section"} == {"headline", "accuracy", "distances", "map", "pictures"}
    assert WHOLE not in page.text[""]


def test_a_page_that_would_be_too_large_has_less_on_it_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = many_records(300)
    view = EvaluationView("after", summarize(records, rounds=20) | further_keys(300) | {"model": "m"}, records)
    text = framed(tmp_path, view, None)
    steps = [("fewer pictures", {"map", "pictures"}), ("no pictures", {"map"}), ("neither pictures nor maps", set())]
    for said, left in steps:
        monkeypatch.setattr(evaluation_report, "FRAME_BYTES", len(text.encode()) - 1)
        smaller = framed(tmp_path, view, None)
        page = read_page(smaller)
        sections = {a["id"] for tag, a in page.tags if tag == "section"}
        assert len(smaller.encode()) < len(text.encode())
        assert f"it has {said}. The whole report: {WHOLE}" in page.text[""]
        assert ({"map", "pictures"} & sections, {"headline", "accuracy"} - sections) == (left, set())
        text = smaller
