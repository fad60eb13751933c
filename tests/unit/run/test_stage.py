"""What `run_stage` promises: work is done once, recorded last, repeated only when asked."""

import errno
import json
import multiprocessing
import shutil
import time
from pathlib import Path

import pytest

from globe.errors import GlobeError, InputError
from globe.run import stage
from globe.run.events import Reporter
from globe.run.stage import Outcome, run_stage, work_so_far


def call(store: Path, work, **changes):
    question = {"inputs": {"data": "d1"}, "settings": {"steps": 3}, "code": ("globe.geo.normalize",)} | changes
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


@pytest.mark.parametrize("changes", [{"inputs": {"data": "d2"}}, {"settings": {"steps": 4}}, {"code": ("globe.geo.distance",)}])
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


def absolute_record(result: stage.StageResult, **outputs: str) -> None:
    """Write a record as earlier versions did: with absolute paths as plain texts."""
    record = json.loads((result.folder / "result.json").read_text())
    record["outcome"] |= {"outputs": outputs, "show": ""}
    (result.folder / "result.json").write_text(json.dumps(record))


@pytest.mark.parametrize("bring", [shutil.move, shutil.copytree])
def test_a_store_that_was_moved_or_copied_is_reused_and_leads_nowhere_else(tmp_path, bring):
    outside = tmp_path / "users" / "photos"
    outside.mkdir(parents=True)
    (outside / "manifest.json").write_text("{}")
    settings = {"source": str(outside)}

    def work(folder: Path, reporter: Reporter) -> Outcome:
        outputs = {"data": str(folder / "d"), "given": str(outside), "verdict": "promote"}
        return Outcome("made", outputs, {}, show=str(folder / "r"), given={"given": ["manifest.json"]})

    call(tmp_path / "old", work, settings=settings)
    bring(tmp_path / "old", tmp_path / "new")
    found = call(tmp_path / "new", counting([]), settings=settings)
    assert found.reused
    assert found.folder.parent == tmp_path / "new" / "toy"
    assert found.outcome.outputs == {"data": str(found.folder / "d"), "given": str(outside), "verdict": "promote"}
    assert found.outcome.show == str(found.folder / "r")
    assert str(tmp_path / "old") not in (found.folder / "result.json").read_text()


def test_a_store_reached_through_a_link_records_the_same_paths(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    def work(folder: Path, reporter: Reporter) -> Outcome:
        return Outcome("made", {"data": str(folder.resolve() / "d")})

    call(tmp_path / "link", work)
    (tmp_path / "link").unlink()
    (tmp_path / "real").rename(tmp_path / "elsewhere")
    found = call(tmp_path / "elsewhere", counting([]))
    assert found.outcome.outputs == {"data": str(found.folder / "d")}


def test_a_relative_store_gives_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(Path("store"), counting([]))
    assert result.outcome.outputs == {"checkpoint": str(result.folder)}
    assert result.folder.is_absolute()


def test_the_stages_own_paths_in_a_record_of_an_earlier_version_are_read_where_it_lies_now(tmp_path):
    made = call(tmp_path, counting([]))
    absolute_record(made, checkpoint=f"/gone/store/toy/{made.key}/checkpoint", verdict="promote")
    found = call(tmp_path, counting([]))
    assert found.reused
    assert found.outcome.outputs == {"checkpoint": str(made.folder / "checkpoint"), "verdict": "promote"}


def test_an_earlier_versions_record_that_leads_elsewhere_does_not_count(tmp_path):
    calls = []
    made = call(tmp_path / "store", counting(calls))
    absolute_record(made, data=str(tmp_path / "another" / "store" / "source" / "0123456789abcdef" / "data"))
    again = call(tmp_path / "store", counting(calls))
    assert not again.reused
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("error", "fault", "says"),
    [
        (InputError("photos.csv: row 3: no position"), "input", "photos.csv: row 3: no position"),
        (GlobeError("no server"), "failure", "no server"),
        (KeyError("x"), "bug", "KeyError: 'x'"),
        (OSError(errno.EACCES, "Permission denied", "/x"), "bug", "PermissionError: [Errno 13] Permission denied: '/x'"),
    ],
)
def test_an_event_says_what_a_stage_failed_of(tmp_path, monkeypatch, error, fault, says):
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))

    def fails(folder, reporter):
        raise error

    with pytest.raises(type(error)):
        call(tmp_path / "store", fails)
    event = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert (event["kind"], event["fault"], event["error"]) == ("failed", fault, says)


def test_a_stage_that_fills_the_disk_names_where_in_one_line_and_can_be_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))

    def fills(folder, reporter):
        with Path("/dev/full").open("wb") as disk:  # a device that is always full
            disk.write(b"x")
        return Outcome("made")

    with pytest.raises(GlobeError, match="No space left on device; make room"):
        call(tmp_path / "store", fills)
    event = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert event["fault"] == "failure"
    assert event["error"].startswith(f"{tmp_path}/store/toy/")
    assert not call(tmp_path / "store", counting([])).reused


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_record_is_named_with_what_to_do(tmp_path, text):
    (call(tmp_path, counting([])).folder / "result.json").write_text(text)
    with pytest.raises(GlobeError, match=r"result\.json: damaged, not the record of a finished stage.*remove the folder"):
        call(tmp_path, counting([]))


def test_a_killed_stage_goes_on_from_its_newest_saved_state_its_lines_and_its_records(tmp_path):
    saved = (
        "swift/checkpoint-10/model.safetensors",
        "swift/checkpoint-10/global_step10/rank_0.pt",
        "swift/checkpoint-10/log.jsonl",
    )
    grown = ("rewards.json", "data/replies.jsonl")
    others = ("swift/checkpoint-9/model.safetensors", "scratch/train.jsonl", "data/manifest.json", "data/part.parquet", "x.tmp")
    for name in (*saved, *grown, *others, "result.json", "result.unsent.json", "toy.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = work_so_far(tmp_path, scratch=["scratch"], saved=lambda folder: [folder / "swift" / "checkpoint-10"])
    assert [{path.relative_to(tmp_path).as_posix() for path in paths} for paths in found] == [set(saved), set(grown)]
    nothing_saved, _ = work_so_far(tmp_path, scratch=["scratch"], saved=lambda folder: [])
    assert nothing_saved == []


def test_a_finished_record_that_somebody_left_in_a_folder_is_not_published_as_this_runs(tmp_path):
    calls: list[Path] = []
    known = call(tmp_path / "known", counting(calls))
    planted = tmp_path / "store" / "toy" / known.key
    planted.mkdir(parents=True)
    record = json.loads((known.folder / "result.json").read_text())
    record["outcome"]["figures"] = {"n": 666}
    (planted / "result.unsent.json").write_text(json.dumps(record))
    assert call(tmp_path / "store", counting(calls)).outcome.figures == {"n": 1}
    assert len(calls) == 2
