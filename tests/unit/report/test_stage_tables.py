"""What a stage's page says in Markdown: the funnel adds up, GPUs are named twice, and a reused stage says that it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from kfp_markdown import RENDERERS, is_installed, shown

from globe.report.stage_tables import write_baselines_table, write_curation_table, write_training_table
from globe.run.gpus import Gpus
from globe.run.stage import Outcome, StageResult

REPORT = {
    "in": 1000,
    "kept": 600,
    "dropped": {"wrong_place": 250, "low_score": 100},
    "quarantined": {"duplicate_picture": 50},
    "splits": {"train": 500, "test": 150, "reward_model": 900},
    "pool": 850,
    "teachers": {"qwen@http://t.example/v1": {"asked": 1000, "answered": 990, "malformed": 6, "timeouts": 3, "failed": 1}},
    "measured": None,
}
CURATED = StageResult("curation", "k", Path("/store/curation/k"), Outcome("600 of 1000 kept", {}, REPORT), 93.0, reused=False)
FIGURES = {
    "rows": 600,
    "steps": 30,
    "final_loss": 1.3784,
    "held_out": {"n": 40, "accuracy": 0.925, "roc": [[0, 0, 1.0]]},
    "none": None,
}
TRAINED = replace(
    CURATED, name="sft", outcome=Outcome("600 rows, 30 steps, loss 1.378", {"checkpoint": "/store/sft/k/checkpoint"}, FIGURES)
)


def rows_of(path: Path) -> dict[str, list[str]]:
    lines = [line[2:-2].split(" | ") for line in path.read_text().splitlines() if line.startswith("| ")]
    return {cells[0].replace("\\", ""): [cell.strip() for cell in cells[1:]] for cells in lines}


def number(text: str) -> int:
    return int(text.replace(",", "").replace("−", "-"))


def test_the_funnel_leads_from_the_pictures_that_came_in_to_those_that_were_kept(tmp_path):
    write_curation_table(str(tmp_path / "out" / "summary"), CURATED)
    rows = rows_of(tmp_path / "out" / "summary")
    steps = ["pictures in", "duplicate picture", "wrong place", "low score"]
    assert sum(number(rows[step][0]) for step in steps) == number(rows["passed every check"][0]) == 600
    assert [len(rows[step][1]) for step in (*steps, "passed every check")] == [20, 1, 5, 2, 12]
    assert {name: rows[name][0] for name in ("train", "test", "reward model", "GRPO pool")} == {
        "train": "500", "test": "150", "reward model": "900", "GRPO pool": "850",
    }  # fmt: skip
    assert rows["qwen@http://t.example/v1"] == ["1,000", "990", "6", "3", "1"]


def test_a_curated_folder_that_was_given_shows_no_funnel_that_nobody_knows(tmp_path):
    given = replace(CURATED, outcome=Outcome("given: 5 sft, 2 test", {}, {"in": 7, "kept": 5}))
    write_curation_table(str(tmp_path / "summary"), given)
    text = (tmp_path / "summary").read_text()
    assert "given: 5 sft, 2 test" in text
    assert "|" not in text


def test_a_training_says_which_gpus_it_had_and_what_came_out(tmp_path):
    write_training_table(str(tmp_path / "summary"), TRAINED, Gpus(8, 8))
    rows = rows_of(tmp_path / "summary")
    assert (rows["GPUs promised"], rows["GPUs seen"], rows["checkpoint"]) == (["8"], ["8"], ["/store/sft/k/checkpoint"])
    assert {name: rows[name] for name in ("rows", "steps", "final loss", "held out: accuracy", "none")} == {
        "rows": ["600"], "steps": ["30"], "final loss": ["1.378"], "held out: accuracy": ["0.925"], "none": ["–"],
    }  # fmt: skip
    assert not any("roc" in name for name in rows)
    assert "Done in 1 min 33 s." in (tmp_path / "summary").read_text()
    write_training_table(str(tmp_path / "summary"), replace(TRAINED, reused=True), Gpus(0, 0))
    assert "Reused: an earlier run made it in 1 min 33 s, and nothing was done again." in (tmp_path / "summary").read_text()


def test_baselines_are_rows_with_their_intervals_under_the_runs_titles(tmp_path):
    base = {"n": 40, "accuracy": {"25": 10.0, "200": 20.0}, "ci95": {"25": [2.5, 17.5], "200": [None, None]}}
    result = replace(CURATED, name="baselines", outcome=Outcome("base: 10%", {}, {"base": base, "start": base | {"n": 39}}))
    write_baselines_table(str(tmp_path / "summary"), result, Gpus(1, 1), {"base": "before SFT"})
    rows = rows_of(tmp_path / "summary")
    assert rows["before SFT"] == ["40", "10.0% (2.5 to 17.5)", "20.0%"]
    assert rows["start"][0] == "39"
    assert rows["GPUs seen"] == ["1"]


@pytest.mark.skipif(not is_installed(), reason="KFP's renderers are not installed (tests/unit/shared/kfp_markdown.py)")
@pytest.mark.parametrize("renderer", RENDERERS)
def test_kfps_ui_shows_the_funnel_and_the_teachers_as_tables_without_links(renderer, tmp_path):
    write_curation_table(str(tmp_path / "summary"), CURATED)
    seen = shown((tmp_path / "summary").read_text(), renderer)
    assert ["wrong place", "−250", "█████"] in seen.rows
    assert ["qwen@http://t.example/v1", "1,000", "990", "6", "3", "1"] in seen.rows
    assert "a" not in seen.tags
