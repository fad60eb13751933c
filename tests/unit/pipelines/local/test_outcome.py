"""What a run says of itself, from the events its stages left."""

import json

import pytest

from pipelines.local.outcome import RunOutcome

STAGES = ["source", "sft", "teardown"]


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


def test_a_worker_that_died_itself_is_a_failure_with_its_code(read):
    assert "code 137" in read([], code=137).failure.error
