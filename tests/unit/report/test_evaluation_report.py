from dataclasses import replace
from pathlib import Path

from page_reader import loaded, read_page

from globe.report import EvaluationView
from globe.report.evaluation_report import write_evaluation_report


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
