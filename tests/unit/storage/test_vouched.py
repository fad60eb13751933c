"""Unfinished work in a folder that others can write to: where a run has a signing key, it goes on only from its own."""

import json
import os
import shutil
from pathlib import Path

import pytest

from globe.errors import GlobeError
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.signing import KEY_VARIABLE
from globe.storage import vouched
from globe.storage.results import UNFINISHED_FILE

KEY = "0123456789abcdef" * 2
ANSWERS = [f"answer {number}" for number in range(6)]
UNDISTURBED = f"{ANSWERS} with no help"


@pytest.fixture(autouse=True)
def key(monkeypatch, tmp_path):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))


def call(store: Path, *, until: int = len(ANSWERS), asked: list[str] | None = None) -> StageResult:
    """A stage that asks six questions, goes on after the answers that it finds, and takes a plan and pictures that it finds."""

    def work(folder: Path, reporter: Reporter) -> Outcome:
        answers, plan, picture = folder / "answers.jsonl", folder / "plan.json", folder / "data" / "picture.png"
        found = [json.loads(line) for line in answers.read_text().splitlines()] if answers.exists() else []
        helped = [path.name for path in (plan, picture) if path.exists() and "help" in path.read_text()]
        plan.write_text("{}")
        with answers.open("a") as file:
            for answer in ANSWERS[len(found) : until]:
                file.write(json.dumps(answer) + "\n")
                if asked is not None:
                    asked.append(answer)
        if until < len(ANSWERS):
            raise RuntimeError("on purpose")
        given = [json.loads(line) for line in answers.read_text().splitlines()]
        return Outcome(f"{given} with {helped or 'no help'}")

    return run_stage("toy", store=store, inputs={}, settings={}, code=("globe.geo.normalize",), work=work)


def interrupted(store: Path, after: int = 3) -> Path:
    """The stage's folder after so many answers."""
    with pytest.raises(RuntimeError, match="on purpose"):
        call(store, until=after)
    return next(path for path in (store / "toy").iterdir() if path.is_dir())


def notes(tmp_path: Path) -> str:
    events = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    return "\n".join(event["figure"] for event in events if event["kind"] == "note")


def test_a_killed_stage_goes_on_after_what_it_has_signed(tmp_path):
    interrupted(tmp_path)
    asked: list[str] = []
    result = call(tmp_path, asked=asked)
    assert result.outcome.figure == UNDISTURBED
    assert asked == ANSWERS[3:]
    assert notes(tmp_path) == ""
    assert not (result.folder / UNFINISHED_FILE).exists()


def test_it_signs_while_it_works_so_that_a_kill_costs_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(vouched, "INTERVAL_S", 0.01)
    folder = tmp_path / "toy" / "0123456789abcdef"
    folder.mkdir(parents=True)
    said = vouched.Voucher(folder, lambda folder: ([], list(folder.glob("*.jsonl"))), (), vouched.Effort())
    said.start()
    (folder / "answers.jsonl").write_text("one")
    while not (folder / UNFINISHED_FILE).exists() or '"answers.jsonl"' not in (folder / UNFINISHED_FILE).read_text():
        pass
    said.end()


@pytest.mark.parametrize("plant", [
    lambda folder: (folder / "answers.jsonl").write_text('"planted"\n' * 3),
    lambda folder: (folder / "plan.json").write_text('{"help": "planted"}'),
    lambda folder: ((folder / "data").mkdir(), (folder / "data" / "picture.png").write_text("help")),
    lambda folder: (folder / "more.jsonl").write_text('"planted"\n'),
    lambda folder: (folder / UNFINISHED_FILE).write_text('{"files": {}}'),
    lambda folder: (folder / UNFINISHED_FILE).write_text("[" * 100_000),
], ids=["answers", "record", "picture", "new-file", "unsigned-state", "torn-state"])  # fmt: skip
def test_what_others_have_put_there_changes_no_result(tmp_path, plant):
    plant(interrupted(tmp_path))
    result = call(tmp_path)
    assert result.outcome.figure == UNDISTURBED
    assert not (result.folder / "more.jsonl").exists()


def test_a_stage_that_never_ran_takes_nothing_from_its_folder(tmp_path):
    folder = interrupted(tmp_path / "known")
    planted = tmp_path / "store" / "toy" / folder.name
    planted.mkdir(parents=True)
    (planted / "answers.jsonl").write_text('"planted"\n' * 6)
    assert call(tmp_path / "store").outcome.figure == UNDISTURBED
    assert "not signed with this run's key, or changed since: removed answers.jsonl" in notes(tmp_path)


def test_another_runs_signed_work_is_not_taken_for_this_stages(tmp_path, monkeypatch):
    folder = interrupted(tmp_path / "store")
    monkeypatch.setenv(KEY_VARIABLE, KEY[::-1])
    asked: list[str] = []
    assert call(tmp_path / "store", asked=asked).outcome.figure == UNDISTURBED
    assert asked == ANSWERS
    assert f"{folder / UNFINISHED_FILE}: was changed, or signed with another key" in notes(tmp_path)


def test_what_was_written_after_the_last_signature_is_cut_off(tmp_path):
    folder = interrupted(tmp_path)
    with (folder / "answers.jsonl").open("a") as file:
        file.write('"planted"\n')
    asked: list[str] = []
    assert call(tmp_path, asked=asked).outcome.figure == UNDISTURBED
    assert asked == ANSWERS[3:]


def test_a_link_is_removed_and_what_it_leads_to_is_left_alone(tmp_path):
    folder = interrupted(tmp_path / "store")
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.move(folder / "answers.jsonl", outside / "answers.jsonl")
    before = (outside / "answers.jsonl").read_text()
    with (outside / "answers.jsonl").open("a") as file:
        file.write("tail")
    (folder / "answers.jsonl").symlink_to(outside / "answers.jsonl")
    (folder / "toy.log").unlink(missing_ok=True)
    (folder / "toy.log").symlink_to(outside / "log")
    (folder / "data").symlink_to(outside)
    assert call(tmp_path / "store").outcome.figure == UNDISTURBED
    assert (outside / "answers.jsonl").read_text() == before + "tail"
    assert os.listdir(outside) == ["answers.jsonl"]


def test_a_stages_folder_that_is_a_link_is_told_and_what_it_leads_to_is_left_alone(tmp_path):
    folder = interrupted(tmp_path / "store")
    shutil.rmtree(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.txt").write_text("years of work")
    folder.symlink_to(outside)
    with pytest.raises(GlobeError, match=f"is a link to {outside}"):
        call(tmp_path / "store")
    assert (outside / "thesis.txt").exists()


def test_links_among_what_the_work_checks_itself_are_removed(tmp_path):
    folder = tmp_path / "toy" / "0123456789abcdef"
    (folder / "swift" / "runs").mkdir(parents=True)
    for name in ("swift/logging.jsonl", "swift/runs/events"):
        (folder / name).symlink_to(tmp_path / "elsewhere")
    vouched.keep_vouched(folder, lambda folder: ([], []), ("swift",), vouched.Effort())
    assert not [path for path in (folder / "swift").rglob("*") if path.is_symlink()]


def test_what_the_work_checks_itself_is_left_to_it(tmp_path):
    folder = tmp_path / "toy" / "0123456789abcdef"
    (folder / "swift" / "checkpoint-3").mkdir(parents=True)
    (folder / "swift" / "log.jsonl").write_text("{}")
    (folder / "swift" / "checkpoint-3" / "weights").write_text("")
    vouched.keep_vouched(folder, lambda folder: ([], [folder / "swift" / "log.jsonl"]), ("swift",), vouched.Effort())
    assert (folder / "swift" / "checkpoint-3" / "weights").exists()


def test_without_a_key_nothing_is_signed_and_all_that_lies_there_is_gone_on_from(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE)
    folder = interrupted(tmp_path)
    assert not (folder / UNFINISHED_FILE).exists()
    asked: list[str] = []
    assert call(tmp_path, asked=asked).outcome.figure == UNDISTURBED
    assert asked == ANSWERS[3:]
