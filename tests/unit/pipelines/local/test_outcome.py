"""What a run says of itself, from the events its stages left."""

import io
import json
import os
import shlex

import pytest
from rich.console import Console

from globe.errors import GlobeError
from globe.evaluation.promote import reject
from globe.figures.predictions import write_predictions
from globe.report.views import StageRow
from globe.run.stage import Outcome, StageResult, run_stage
from pipelines.catalog import PIPELINES
from pipelines.local.folder import Run
from pipelines.local.outcome import RunOutcome, _report, finish

STAGES = ["source", "sft", "reward_model", "teardown"]


@pytest.fixture
def read(tmp_path):
    def read(events: list[dict], code: int = 0, log: str = ""):
        (tmp_path / "events.jsonl").write_text(
            "".join(json.dumps({"time": "2026-01-01T00:00:00+00:00"} | e) + "\n" for e in events)
        )
        (tmp_path / "run.log").write_text(log)
        return RunOutcome.read(
            tmp_path / "events.jsonl", tmp_path / "run.log", stages=STAGES, worker_code=code, interrupted=False
        )

    return read


def done(*names):
    return [{"stage": name, "kind": "done", "figure": "x", "seconds": 1.0} for name in names]


def test_a_run_whose_stages_all_ended_well_succeeded(read):
    outcome = read(done(*STAGES))
    assert outcome.failure is None
    assert [row.name for row in outcome.rows] == STAGES


def test_a_success_of_kfp_in_which_a_stage_never_ran_is_a_failure(read):
    failure = read(done("source", "teardown")).failure
    assert failure.stage == "sft"
    assert "without running it" in failure.error


def test_the_first_failure_is_the_one_that_is_told(read, tmp_path):
    (tmp_path / "sft.log").write_text("one\ntwo\nout of memory\n")
    failed = {"stage": "sft", "kind": "failed", "error": "out of memory", "log": str(tmp_path / "sft.log")}
    failure = read(
        [*done("source"), failed, {"stage": "teardown", "kind": "failed", "error": "later", "log": ""}], code=1
    ).failure
    assert (failure.stage, failure.error) == ("sft", "out of memory")
    assert failure.lines[-1] == "out of memory"


def test_a_task_that_died_before_it_could_say_so_is_found_in_kfps_log(read):
    end = "10:00 - ERROR - Task \x1b[96m'reward-model'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m"
    log = f"    Traceback\n    ImportError: no module\n{end}\n"
    failure = read(done("source"), code=1, log=log).failure
    assert failure.stage == "reward_model"
    assert failure.error == "ImportError: no module"


def test_a_report_calls_models_what_this_run_calls_them_whatever_made_their_figures(read, tmp_path):
    titles = {"base": "base model", "policy": "given for GRPO"}
    outcome = read([{"stage": "validate", "kind": "done", "figure": "x", "seconds": 1.0, "titles": titles}, *done(*STAGES)])
    for stage, part in (("baselines", "base"), ("evaluation", "policy")):
        (tmp_path / stage / part).mkdir(parents=True)
        truth = {"lat_deg": 48.85, "lon_deg": 2.35}
        write_predictions(tmp_path / stage / part, [{"id": part, "status": "no_answer", "truth": truth}])
        outcome.results[stage] = StageResult(stage, "k", tmp_path / stage, Outcome("x", figures={part: {"n": 1}}), 1.0, True)
    views = _report("a title", "demo", outcome, 1.0, "").evaluations
    assert [(view.name, view.predictions[0]["id"]) for view in views] == [("base model", "base"), ("given for GRPO", "policy")]


def test_a_worker_that_died_itself_is_a_failure_with_its_code(read):
    assert "code 137" in read([], code=137).failure.error


def killed_task(name: str, last: str) -> str:
    """KFP's log of a task that raised, colours included."""
    end = f"10:00 - ERROR - Task \x1b[96m'{name}'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m"
    return f'    Traceback (most recent call last):\n      File "x.py", line 1, in f\n    {last}\n\n{end}\n'


@pytest.mark.parametrize(
    ("last", "fault", "error"),
    [
        ("globe.errors.InputError: baseline: /x: no such", "input", "baseline: /x: no such"),
        ("globe.errors.GlobeError: out of GPUs", "failure", "out of GPUs"),
        ("globe.storage.transfer.Damaged: /x: not what it was", "failure", "/x: not what it was"),
        ("globe.recipes.load.NoSuchError: text", "bug", "globe.recipes.load.NoSuchError: text"),
        ("KeyError: 'x'", "bug", "KeyError: 'x'"),
    ],
)
def test_an_error_of_ours_in_kfps_log_is_told_without_its_traceback(read, last, fault, error):
    failure = read(done("source"), code=1, log=killed_task("sft", last)).failure
    assert (failure.stage, failure.fault, failure.error) == ("sft", fault, error)
    assert bool(failure.lines) == (fault == "bug")
    assert all(line.isprintable() for line in failure.lines)


def test_a_failure_of_a_task_that_is_no_stage_is_told_of_the_stage_that_did_not_begin(read):
    assert read(done("source"), code=1, log=killed_task("given-2", "KeyError: 'x'")).failure.stage == "sft"


@pytest.mark.parametrize(("fault", "code"), [("input", 2), ("failure", 1), ("bug", 1)])
def test_what_a_stage_foresaw_is_one_line_and_the_logs_path_and_a_bug_is_its_last_lines(read, tmp_path, fault, code):
    log = tmp_path / "sft [bold].log"
    log.write_text("\x1b[31mTraceback\x1b[0m (most recent call last):\n  File\n")
    event = {"stage": "sft", "kind": "failed", "error": "\x1b[1mno such\x1b[0m\nfile", "fault": fault, "log": str(log)}
    outcome = read([*done("source"), event], code=1)
    run = Run("demo", PIPELINES["training"], tmp_path / "home")
    run.folder.mkdir(parents=True)
    printed = io.StringIO()
    assert finish(run, "title", outcome, seconds=1.0, console=Console(file=printed, force_terminal=False)) == code
    lines = printed.getvalue().splitlines()
    start = lines.index("failed  stage sft")
    tail = ["  | Traceback (most recent call last):", "  |   File"] if fault == "bug" else []
    assert lines[start + 1 :] == ["no such file", *tail, f"log     {log}"]
    assert json.loads((run.folder / "summary.json").read_text())["exit_code"] == code


def test_a_rejection_is_the_gates_and_its_figures_stay(read, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "told.jsonl"))
    result = run_stage(
        "gate", store=tmp_path, inputs={}, settings={}, code=(), work=lambda f, r: Outcome("reject: x", {}, {"n": 3})
    )
    with pytest.raises(GlobeError):
        reject("too few answers")
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    outcome = read(told, code=1)
    assert (outcome.failure.stage, outcome.failure.fault, outcome.failure.lines) == ("gate", "failure", [])
    assert outcome.failure.error == "the gate rejected the policy: too few answers"
    assert outcome.results["gate"].key == result.key
    assert "promote" not in {event["stage"] for event in told}


@pytest.mark.parametrize("make", [lambda path: path.write_text("secret\n"), os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_log_outside_the_runs_folder_is_not_shown_and_a_pipe_in_it_not_waited_for(read, tmp_path, make):
    for folder in (tmp_path, tmp_path.parent):
        log = folder / f"{tmp_path.name}-credentials"
        make(log)
        event = {"stage": "sft", "kind": "failed", "error": "x", "log": str(log)}
        if folder == tmp_path and log.is_file():
            continue
        failure = read([event], code=1, log="the run's\n").failure
        assert "secret" not in "".join(failure.lines)
        assert failure.log == (tmp_path / "run.log" if folder != tmp_path or log.is_symlink() else log)


def test_a_run_that_has_trained_ends_with_what_to_try_next(tmp_path):
    trained = StageResult("grpo", "k", tmp_path, Outcome("x", {"checkpoint": "/runs/my model"}, {}), 1.0, reused=False)
    row = StageRow("grpo", "done", 1.0, "x", "")
    outcome = RunOutcome([row], {"grpo": trained}, {}, None, False, "2026-01-01T00:00:00+00:00")
    run = Run("demo", PIPELINES["training"], tmp_path / "home")
    run.folder.mkdir(parents=True)
    printed = io.StringIO()
    assert finish(run, "title", outcome, seconds=1.0, console=Console(file=printed, force_terminal=False)) == 0
    said = [shlex.split(line) for line in printed.getvalue().splitlines()]
    assert ["locate", "globe", "locate", "PHOTO", "--checkpoint", "/runs/my model"] in said
    assert ["serve", "globe", "serve", "/runs/my model"] in [words[:4] for words in said]
