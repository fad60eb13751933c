"""Driving ms-swift: which checkpoint to go on from, which lines of a log matter."""

from globe.training.swift import _argv, _launcher, _new_steps, last_checkpoint, tail


def checkpoint(output, step, complete=True):
    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{}" if complete else "")
    return folder


def test_training_goes_on_from_the_newest_complete_checkpoint(tmp_path):
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 110, complete=False)
    (tmp_path / "checkpoint-120").mkdir()
    assert last_checkpoint(tmp_path) == newest


def test_without_a_checkpoint_training_starts_anew(tmp_path):
    assert last_checkpoint(tmp_path / "nothing") is None


def test_steps_are_read_once_and_half_written_lines_wait(tmp_path):
    log = tmp_path / "logging.jsonl"
    steps = _new_steps(log)
    assert next(steps) == []
    log.write_text('{"loss": 1.0, "global_step/max_steps": "1/3"}\n{"loss": 0.5, "global')
    assert [(step, total) for step, total, _ in next(steps)] == [(1, 3)]
    with log.open("a") as file:
        file.write('_step/max_steps": "2/3"}\n{"train_runtime": 3}\n')
    assert [(step, total) for step, total, _ in next(steps)] == [(2, 3)]


def test_a_log_left_by_an_earlier_call_is_not_told_again(tmp_path):
    log = tmp_path / "logging.jsonl"
    log.write_text('{"global_step/max_steps": "1/3"}\n')
    assert next(_new_steps(log)) == []


def test_the_tail_of_a_log_starts_where_this_call_did_and_is_one_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("an older failure\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("Traceback\n\nValueError: broken\n")
    assert tail(log, start) == "Traceback | ValueError: broken"


def test_lists_become_several_values_and_booleans_lower_case():
    assert _argv({"a": ["x", "y"], "b": True, "c": 1e-3}) == ["--a", "x", "y", "--b", "true", "--c", "0.001"]


def test_only_several_processes_need_swifts_launcher():
    assert _launcher("sft", {})[-2:] == ["-m", "swift.cli.sft"]
    assert _launcher("rlhf", {"NPROC_PER_NODE": "8"})[-1] == "rlhf"
