"""Steps are told once, and whole."""

from globe.training.logged_steps import new_steps


def test_steps_are_read_once_and_half_written_lines_wait(tmp_path):
    log = tmp_path / "logging.jsonl"
    steps = new_steps(log)
    assert next(steps) == []
    log.write_text('{"loss": 1.0, "global_step/max_steps": "1/3"}\n{"loss": 0.5, "global')
    assert [(step, total) for step, total, _ in next(steps)] == [(1, 3)]
    with log.open("a") as file:
        file.write('_step/max_steps": "2/3"}\n{"train_runtime": 3}\n')
    assert [(step, total) for step, total, _ in next(steps)] == [(2, 3)]


def test_a_log_left_by_an_earlier_call_is_not_told_again(tmp_path):
    log = tmp_path / "logging.jsonl"
    log.write_text('{"global_step/max_steps": "1/3"}\n')
    assert next(new_steps(log)) == []
