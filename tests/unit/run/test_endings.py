"""What a stage's reports say of its ending; what follows from an ending is tried on real commands in test_supervise.py."""

import json
from pathlib import Path

import pytest

from globe.errors import GlobeError, InputError
from globe.run.endings import Ending, Reports
from globe.run.events import emit, fail


@pytest.fixture
def reports(tmp_path, monkeypatch) -> Reports:
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    return Reports(tmp_path / "events.jsonl")


def test_a_stage_that_reports_nothing_is_told_by_its_exit_code(reports):
    reports.finish()
    assert reports.ending(3, 0) == Ending(3)
    assert Ending(3).reason == "ended with exit code 3"
    assert Ending(139).reason == "ended by SIGSEGV"
    assert "memory" in Ending(137).reason


def test_the_last_failure_counts(reports):
    fail("sft", GlobeError("no answer"))
    fail("sft", InputError("recipe.yaml: wrong"))
    reports.finish()
    assert reports.ending(1, 0) == Ending(1, "recipe.yaml: wrong", "input")


def test_a_finished_stages_ending_has_its_figure_and_no_error(reports):
    fail("sft", GlobeError("no answer"))
    emit("sft", "progress", done=12, total=30)
    emit("sft", "done", figure="30 steps")
    reports.finish()
    assert reports.ending(0, 0) == Ending(0, figure="30 steps", done=12)


def test_a_line_that_a_kill_has_cut_off_is_no_report(reports):
    fail("sft", GlobeError("no answer"))
    with reports.path.open("a") as file:
        file.write('{"stage": "sft", "kind": "failed", "err')
    reports.finish()
    assert reports.ending(1, 0).error == "no answer"


class Watched(Reports):
    """Remembers each progress that it reads."""

    def __init__(self, path: Path) -> None:
        self.seen: list[float] = []
        super().__init__(path)

    done = property(lambda self: self.seen[-1], lambda self, value: self.seen.append(value))


def test_no_report_is_lost_and_none_is_kept_while_a_stage_reports_for_long(reports):
    watched, sizes = Watched(reports.path), []
    for n in range(1, 1001):
        line = json.dumps({"kind": "progress", "done": n, "figure": "x" * 100}) + "\n"
        with reports.path.open("a") as file:  # as a stage does: it may have opened the file before it is set aside
            if n % 10 == 0:
                watched.turn()
            file.write(line)
        sizes.append(sum(path.stat().st_size for path in reports.path.parent.iterdir()))
    fail("sft", GlobeError("the last line"))
    watched.finish()
    assert watched.seen == list(range(1001))  # it starts at 0
    assert watched.ending(1, 0).error == "the last line"
    assert max(sizes) < 25 * len(line)
    assert list(reports.path.parent.iterdir()) == []


@pytest.mark.parametrize("before", [None, Ending(1, "other", "bug"), Ending(137), Ending(1, "CUDA error", "failure")])
def test_a_bug_that_did_not_come_twice_in_a_row_is_tried_again(before):
    assert not Ending(1, "CUDA error", "bug").is_final(before)


@pytest.mark.parametrize(("done", "final"), [(5, True), (4, True), (6, False)])
def test_the_same_bug_is_tried_again_only_if_the_stage_got_further(done, final):
    assert Ending(1, "CUDA error", "bug", done=done).is_final(Ending(1, "CUDA error", "bug", done=5)) is final
