import json

import pytest

from globe.errors import GlobeError, InputError
from globe.run.events import Reporter, emit, fail, log_path, skip


@pytest.fixture
def events(tmp_path, monkeypatch):
    """Reads the events that were appended so far."""
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("GLOBE_EVENTS", str(path))
    return lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_event_is_one_line_of_json_and_one_plain_line(events, capsys):
    emit("sft", "progress", done=3, total=12, figure="loss 0.5", log=None)
    (event,) = events()
    assert event.pop("time").endswith("+00:00")
    assert event == {"stage": "sft", "kind": "progress", "done": 3, "total": 12, "figure": "loss 0.5"}
    assert capsys.readouterr().err == "[sft] progress 3/12 loss 0.5\n"


def test_a_stage_that_has_nothing_to_do_says_why(events):
    skip("sft", "switched off")
    assert [(event["kind"], event["figure"]) for event in events()] == [("skipped", "switched off")]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (GlobeError("no answer"), "no answer"),
        (InputError("row 3: id is empty"), "row 3: id is empty"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_a_failure_says_all_in_one_line_and_whose_fault_it_was(events, error, text):
    fail("gate", error, seconds=1.5)
    (event,) = events()
    assert (event["kind"], event["error"], event["seconds"]) == ("failed", text, 1.5)
    assert event["fault"]


def test_the_first_and_the_last_step_are_told_and_few_in_between(events, tmp_path):
    reporter = Reporter("sft", tmp_path / "sft.log")
    for step in range(1, 1001):
        reporter.progress(step, 1000)
    done = [event["done"] for event in events()]
    assert (done[0], done[-1]) == (1, 1000)
    assert len(done) < 100


def test_a_file_of_events_that_cannot_be_written_stops_no_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "removed meanwhile" / "events.jsonl"))
    emit("sft", "progress", done=3, total=9)
    monkeypatch.setenv("GLOBE_EVENTS", "/dev/full")
    emit("sft", "progress", done=4, total=9)
    assert capsys.readouterr().err.splitlines() == ["[sft] progress 3/9", "[sft] progress 4/9"]


def test_a_note_is_never_left_out(events, tmp_path):
    reporter = Reporter("sft", tmp_path / "sft.log")
    reporter.note("loading")
    reporter.note("training")
    assert [event["figure"] for event in events()] == ["loading", "training"]


def test_a_log_lies_with_the_runs_logs_and_else_beside_the_result(tmp_path, monkeypatch):
    assert log_path("sft", tmp_path / "result") == tmp_path / "result" / "sft.log"
    monkeypatch.setenv("GLOBE_LOGS", str(tmp_path / "logs"))
    assert log_path("sft", tmp_path / "result") == tmp_path / "logs" / "sft.log"
    assert (tmp_path / "logs").is_dir()
