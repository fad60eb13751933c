"""A run's summary as a page: how it ended, and a table of what its stages took that adds up."""

from dataclasses import replace

import pytest
from kfp_markdown import RENDERERS, is_installed, shown

from globe.run.summary import Money, RunSummary, StageUse
from globe.run.summary_page import NO_RECORDS, summary_markdown

STAGES = (
    StageUse("sft", "SFT", "succeeded", 2, 5400.0, 8, figure="1000 rows | 30 steps"),
    StageUse("server:policy", "Server of policy", "succeeded", 1, 1800.0, 2),
    StageUse("promote", "Promote", "failed", 1, 4.0, 0, error="<b>another model</b> is promoted"),
)
SUMMARY = RunSummary(
    run="run-1",
    pipeline="GLOBE training",
    title="GLOBE training: failed (promote)",
    state="failed",
    verdict="promote",
    reasons=("Promote: <b>another model</b> is promoted",),
    seconds=9000.0,
    gpu_hours=13.0,
    cost=Money(32.5, "USD"),
    stages=STAGES,
    figures={"pictures": 300.0, "within_25_km_percent": 61.53},
)


def cells(page: str, first: str) -> list[str]:
    """The row of a table that begins with a text."""
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_each_stage_has_its_time_gpus_hours_and_money_and_they_add_up():
    page = summary_markdown(SUMMARY)
    assert cells(page, "SFT")[1:7] == ["succeeded", "1 h 30 min", "8", "12.00", "30.00", "2"]
    rows = [cells(page, stage.title) for stage in STAGES]
    assert sum(float(row[4]) for row in rows) == pytest.approx(13.0)
    assert sum(float(row[5]) for row in rows) == pytest.approx(32.5)
    assert cells(page, "cost")[1] == "32.50 USD"
    assert cells(page, "within 25 km percent")[1] == "61.5"


def test_a_currency_breaks_no_table():
    page = summary_markdown(replace(SUMMARY, cost=Money(32.5, "a | b")))
    assert "| a \\| b |" in page


def test_without_a_price_no_money_is_named():
    page = summary_markdown(RunSummary("r", "p", "t", "succeeded", seconds=1.0, gpu_hours=13.0, stages=STAGES))
    assert "USD" not in page
    assert cells(page, "SFT")[1:6] == ["succeeded", "1 h 30 min", "8", "12.00", "2"]


def test_a_run_without_records_says_that_nothing_is_known():
    page = summary_markdown(RunSummary("r", "p", "t", "failed", reasons=("why",)))
    assert NO_RECORDS in page
    assert "- why" in page
    assert "GPU-hours" not in page


@pytest.mark.skipif(not is_installed(), reason="KFP's renderers are not installed (tests/unit/shared/kfp_markdown.py)")
@pytest.mark.parametrize("renderer", RENDERERS)
def test_kfps_ui_shows_the_tables_and_no_markup_of_others(renderer):
    seen = shown(summary_markdown(SUMMARY), renderer)
    assert ["ended", "failed"] in seen.rows
    assert ["Promote", "failed", "4.0 s", "0", "0.00", "0.00", "1", "<b>another model</b> is promoted"] in seen.rows
    assert seen.tags.count("table") == 3
    assert "b" not in seen.tags
