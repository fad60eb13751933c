"""What `run_stage` promises: work is done once, recorded last, repeated only when asked."""

import multiprocessing
import time
from pathlib import Path

import pytest

from globe import stage
from globe.events import Reporter
from globe.stage import Outcome, run_stage


def call(store: Path, work, **changes):
    question = {"inputs": {"data": "d1"}, "settings": {"steps": 3}, "code": ("errors",)} | changes
    return run_stage("toy", store=store, work=work, **question)


def counting(calls: list[Path]):
    def work(folder: Path, reporter: Reporter) -> Outcome:
        calls.append(folder)
        return Outcome("made", {"checkpoint": str(folder)}, {"n": 1})

    return work


@pytest.fixture(autouse=True)
def _no_run_around(monkeypatch):
    for name in (stage.RUN_VARIABLE, stage.REDO_VARIABLE, stage.IMAGE_VARIABLE, "GLOBE_EVENTS", "GLOBE_LOGS"):
        monkeypatch.delenv(name, raising=False)


def test_finished_work_is_found_and_not_done_again(tmp_path):
    calls = []
    first = call(tmp_path, counting(calls))
    second = call(tmp_path, counting(calls))
    assert len(calls) == 1
    assert not first.reused
    assert second.reused
    assert second.outcome == first.outcome


@pytest.mark.parametrize("changes", [{"inputs": {"data": "d2"}}, {"settings": {"steps": 4}}, {"code": ("events",)}])
def test_another_input_setting_or_code_has_another_address(tmp_path, changes):
    calls = []
    call(tmp_path, counting(calls))
    call(tmp_path, counting(calls), **changes)
    assert len(set(calls)) == 2


def test_a_failed_call_leaves_its_work_for_the_next_one_and_no_result(tmp_path):
    def fails(folder, reporter):
        (folder / "half").write_text("done so far")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        call(tmp_path, fails)

    def goes_on(folder, reporter):
        return Outcome((folder / "half").read_text())

    assert call(tmp_path, goes_on).outcome.figure == "done so far"


def test_a_stage_marked_to_be_redone_starts_from_an_empty_folder_once_a_run(tmp_path, monkeypatch):
    def leaves_a_file(folder, reporter):
        assert not (folder / "old").exists()
        (folder / "old").write_text("")
        return Outcome("made")

    monkeypatch.setenv(stage.RUN_VARIABLE, "run-1")
    call(tmp_path, leaves_a_file)
    monkeypatch.setenv(stage.RUN_VARIABLE, "run-2")
    monkeypatch.setenv(stage.REDO_VARIABLE, "other,toy")
    assert not call(tmp_path, leaves_a_file).reused
    assert call(tmp_path, leaves_a_file).reused


def _slow(store: str, marks: str) -> None:
    def work(folder: Path, reporter: Reporter) -> Outcome:
        with Path(marks).open("a") as file:
            file.write("x")
        time.sleep(0.5)
        return Outcome("made")

    call(Path(store), work)


def test_two_processes_that_ask_the_same_do_the_work_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    marks = tmp_path / "marks"
    processes = [context.Process(target=_slow, args=(str(tmp_path / "store"), str(marks))) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert marks.read_text() == "x"


def test_a_failure_is_told_with_its_error_and_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    monkeypatch.setenv("GLOBE_LOGS", str(tmp_path / "logs"))

    def fails(folder, reporter):
        raise ValueError("no such city")

    with pytest.raises(ValueError, match="no such city"):
        call(tmp_path / "store", fails)
    assert '"error": "ValueError: no such city"' in (tmp_path / "events.jsonl").read_text()
    assert "Traceback" in (tmp_path / "logs" / "toy.log").read_text()
