from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from page_reader import Page, loaded, read_page
from report_inputs import PARIS, answered

from globe.report import EvaluationView, RunReport, StageRow
from globe.report.run_report import write_run_report

CURATION = {
    "in": 2100, "kept": 1722, "dropped": {"wrong_place": 211, "invented_entity": 97, "not_corroborated": 66},
    "quarantined": {"picture_not_readable": 4}, "splits": {"train": 1450, "test": 315, "reward_model": 1999}, "pool": 1781,
    "teachers": {"toy-vlm-a@http://127.0.0.1:1/v1": {"asked": 2096, "answered": 2021, "malformed": 63, "timeouts": 12}},
    "measured": {
        "wrong_annotations": 800, "wrong_removed": 779, "wrong_removed_share": 0.97375,
        "right_annotations": 3300, "right_kept": 3168, "right_kept_share": 0.96,
    },
}  # fmt: skip
STAGES = [
    StageRow(
        "reward_model", "done", 62.71, "97.8% right on held-out pictures", "/home/ada/store/reward_model/31cc/checkpoint.json"
    ),
    StageRow("grpo", "failed", 188.2, "RuntimeError: out of memory", "/home/ada/store/grpo/5e5f"),
    StageRow("tear_down", "skipped", 0.0),
]


def write(path: Path, report: RunReport) -> tuple[str, Page]:
    write_run_report(path, report)
    html = path.read_text(encoding="utf-8")
    return html, read_page(html)


@pytest.fixture
def report(before: EvaluationView, after: EvaluationView, pictures: Path) -> RunReport:
    curve = [{"step": i, "reward": 0.1 * i, "rewards/Accuracy/mean": 0.05 * i, "rewards/Format/mean": 0.9} for i in range(1, 21)]
    gate = {"verdict": "promote", "reasons": ["within 25 km 66.7% against 0.0%", "91.7% of the answers could be read"]}
    return RunReport(
        "The demo", "demo", "2026-11-22T10:32:37.5+00:00", 489.2, STAGES, CURATION, [before, after], curve, pictures, gate,
        "globe locate PHOTO --url http://127.0.0.1:8000/v1",
    )  # fmt: skip


def test_the_page_loads_nothing_from_outside_and_holds_no_script(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    assert loaded(page)
    assert all(address.startswith(("data:image/", "#")) for address in loaded(page))
    assert not page.names & {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert {link for link in links if not link.startswith("#")} == {
        "https://www.geonames.org/",
        "https://creativecommons.org/licenses/by/4.0/",
    }


def test_a_browser_is_told_to_load_nothing_and_run_nothing(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_every_link_within_the_page_leads_somewhere(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {a[name][1:] for _, a in page.tags for name in ("href", "for", "aria-labelledby") if a.get(name, "").startswith("#")}
    wanted |= {a[name] for _, a in page.tags for name in ("for", "aria-labelledby") if name in a}
    assert wanted <= set(ids)


def test_headline_and_accuracy_print_the_metrics_given(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    assert "Of 12 held-out pictures" in page.text["headline"]
    assert "names the right country for 83.3%" in page.text["headline"]
    assert "places 66.7% within 25 km" in page.text["headline"]
    assert "95%: 41.7 to 93.3%" in page.text["headline"]
    for view in report.evaluations:
        for km, value in view.metrics["accuracy"].items():
            low, high = view.metrics["ci95"][km]
            assert f"{value:.1f}% {low:.1f} to {high:.1f}".replace("-", "−") in page.text["accuracy"]
    assert "median error 196 km 196 km" in page.text["accuracy"]
    assert "GeoScore (of 5000) 3,457 3,457" in page.text["accuracy"]


def test_the_change_through_training_is_the_paired_difference(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    assert "before SFT → after GRPO pictures in both 12 within 1 km +66.7" in page.text["accuracy"]


def test_the_change_is_left_out_where_there_is_none(report: RunReport, tmp_path: Path) -> None:
    before, after = report.evaluations
    _, page = write(tmp_path / "report.html", replace(report, evaluations=[before, replace(after, change=None)]))
    assert "→" not in page.text["accuracy"]


def test_slices_of_the_last_evaluation_are_printed(report: RunReport, tmp_path: Path) -> None:
    figures = {"n": 6, "country_match": 91.66, "accuracy": {"25": 50.0, "750": 83.33}, "median_km": 12.4}
    last = report.evaluations[1]
    last = replace(last, metrics=last.metrics | {"slices": {"continent": {"Asia": figures}, "city_size": {"unknown": figures}}})
    _, page = write(tmp_path / "report.html", replace(report, evaluations=[report.evaluations[0], last]))
    said = "by continent model pictures right country within 25 km within 750 km median error Asia after GRPO 6 91.7% 50.0% 83.3%"
    assert f"{said} 12 km" in page.text["slices"]
    assert "by city size" in page.text["slices"]


def test_what_became_of_the_answers_adds_up(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    assert "before SFT n = 12 placed on the map 2 16.7% answer not readable 10 83.3%" in page.text["accuracy"]
    assert "after GRPO n = 12 placed on the map 11 91.7% answer not readable 1 8.3%" in page.text["accuracy"]


def test_the_map_counts_and_names_the_errors(report: RunReport, tmp_path: Path) -> None:
    html, page = write(tmp_path / "report.html", report)
    assert "after GRPO: 8 answers within 25 km, 3 farther away, 1 without a place." in html
    assert "Paris, France Lyon, France 2 392 km Tokyo, Japan Paris, France 1 9,712 km" in page.text["map"]
    assert "<title>Paris, France taken for Lyon, France: 2 × 392 km</title>" in html
    assert "<title>Paris, France: 4 of 6 within 25 km</title>" in html


def test_pictures_show_truth_answers_and_reasons(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 12
    assert all(image["alt"].startswith("Picture taken in ") for image in images)
    text = page.text["pictures"]
    assert "within 25 km 8 of 8" in text
    assert "farthest errors 3 of 3" in text
    assert "no place found 1 of 1" in text
    assert text.count("red earth, palm trees") == 11
    assert "before SFT: Tokyo, Japan 9,712 km" in text


def test_the_reward_curve_states_the_means_of_its_ends(report: RunReport, tmp_path: Path) -> None:
    html, page = write(tmp_path / "report.html", report)
    assert "First 10 steps: 0.550; last 10: 1.550 (+1.000)" in page.text["reward"]
    assert "Accuracy 0.275 → 0.775" in page.text["reward"]
    assert "Format 0.900 → 0.900" in page.text["reward"]
    assert "Mean reward over 20 steps" in html


def test_the_curation_funnel_prints_the_counts_given(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    text = page.text["curation"]
    assert "pictures in 2,100" in text
    for name, number in (("wrong place", 211), ("invented entity", 97), ("not corroborated", 66), ("picture not readable", 4)):
        assert f"{name} −{number}" in text
    assert "passed every check 1,722" in text
    assert "97.4% 779 of 800" in text
    assert "96.0% 3,168 of 3,300" in text
    assert "train 1,450 test 315 reward model 1,999 GRPO pool 1,781" in text
    assert "toy-vlm-a@http://127.0.0.1:1/v1 2,096 2,021 63 12" in text
    assert "not counted" not in text


def test_stages_gate_and_command_are_printed(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", report)
    assert "reward model done 1 min 03 s 97.8% right on held-out pictures" in page.text["stages"]
    assert "/home/ada/store/reward_model/31cc/checkpoint.json" in page.text["stages"]
    assert "grpo failed 3 min 08 s RuntimeError: out of memory" in page.text["stages"]
    assert "tear down skipped – –" in page.text["stages"]
    assert "Gate: promote within 25 km 66.7% against 0.0% 91.7% of the answers" in page.text["headline"]
    assert "globe locate PHOTO --url http://127.0.0.1:8000/v1" in page.text["locate"]
    assert "2026-11-22 10:32 UTC" in page.text[""]
    assert "8 min 09 s" in page.text[""]


def test_a_rejecting_gate_does_not_look_like_a_passing_one(report: RunReport, tmp_path: Path) -> None:
    rejected = replace(report, gate={"verdict": "reject", "reasons": ["accuracy fell"]})
    _, page = write(tmp_path / "report.html", rejected)
    classes = [attributes["class"] for _, attributes in page.tags if "verdict" in attributes.get("class", "")]
    assert classes == ["verdict poor"]


HOSTILE = "</blockquote><script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe\x00\ud800 {{ 7*7 }} &lt;"


def test_text_of_a_model_is_shown_and_never_obeyed(
    report: RunReport, evaluation: Callable[..., EvaluationView], tmp_path: Path
) -> None:
    records = [
        answered(0, PARIS, HOSTILE),
        answered(1, None, HOSTILE, "not_parsed"),
        answered(2, None, HOSTILE, "not_geocoded") | {"country": HOSTILE, "city": '"><svg onload=alert(3)>'},
        answered(3, None, "x", '"><b onclick=alert(4)>'),
    ]
    stages = [StageRow(HOSTILE, "done", 1.0, HOSTILE, HOSTILE)]
    hostile = replace(
        report, title=HOSTILE, profile=HOSTILE, started=HOSTILE, stages=stages, evaluations=[evaluation("x", records)],
        gate={"verdict": HOSTILE, "reasons": [HOSTILE]}, locate_command=HOSTILE,
        curation=CURATION | {"dropped": {HOSTILE: 3}, "teachers": {HOSTILE: {}}},
        reward_curve=[{"step": 1, "reward": 0.5, f"rewards/{HOSTILE}/mean": 0.5}],
    )  # fmt: skip
    html, page = write(tmp_path / "report.html", hostile)
    assert not page.names & {"script", "b onclick"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(address.startswith(("data:image/", "#")) for address in loaded(page))
    assert "<script>alert(1)</script>" in page.text["pictures"]
    assert "{{ 7*7 }} &lt;" in page.text["pictures"]
    assert "\u202e" not in html
    assert "\x00" not in html


def test_a_long_answer_is_cut_with_an_ellipsis(
    report: RunReport, evaluation: Callable[..., EvaluationView], tmp_path: Path
) -> None:
    endless = evaluation("x", [answered(0, PARIS, "palm " * 20000)])
    html, page = write(tmp_path / "report.html", replace(report, evaluations=[endless]))
    assert "palm…" in page.text["pictures"]
    assert len(html) < 500_000


def test_each_absent_input_gives_a_sentence(tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", RunReport("Stopped early", "demo", "2026-11-22T10:32:37", 3.2))
    said = {
        "headline": "No evaluation was given", "accuracy": "No evaluation was given",
        "map": "No predictions with known positions", "pictures": "No predictions were found",
        "reward": "No reward was logged", "curation": "No curation was part of this run",
        "stages": "No stages were recorded", "locate": "This run has no trained model",
    }  # fmt: skip
    for section, sentence in said.items():
        assert sentence in page.text[section]
    assert "No gate judged this run." in page.text["headline"]
    assert "%" not in "".join(text for section, text in page.text.items() if section)


def test_missing_predictions_pictures_and_figures_leave_a_page(report: RunReport, tmp_path: Path) -> None:
    metrics: dict[str, Any] = {"n": 0, "accuracy": {"25": None}, "median_km": float("nan")}
    view = EvaluationView("after SFT", metrics)
    _, page = write(tmp_path / "report.html", replace(report, evaluations=[view], pictures=tmp_path / "gone", curation={"in": 0}))
    assert "nan" not in "".join(page.text.values()).lower()
    assert "No predictions were found" in page.text["pictures"]
    assert "within 25 km – –" in page.text["accuracy"]


def test_answers_are_shown_without_pictures(report: RunReport, tmp_path: Path) -> None:
    _, page = write(tmp_path / "report.html", replace(report, pictures=None))
    assert "The picture files were not found, so only the answers are shown." in page.text["pictures"]
    assert text_of_first_card(page).startswith("taken in Paris, France")


def text_of_first_card(page: Page) -> str:
    text = page.text["pictures"]
    return text[text.index("taken in") :]


def test_the_same_inputs_give_the_same_bytes(report: RunReport, tmp_path: Path) -> None:
    first, _ = write(tmp_path / "a.html", report)
    second, _ = write(tmp_path / "b.html", report)
    assert first == second
