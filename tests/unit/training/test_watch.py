"""What is told while GRPO runs: each measurement and each alarm once, also when it is resumed."""

import json

from globe.run.events import EVENTS_VARIABLE, Reporter
from globe.training.samples import Samples, no_page
from globe.training.watch import Watch

EQUAL = {"reward": 1.0, "frac_reward_zero_std": 1.0}


def watched(folder, monkeypatch, steps: list[tuple[int, dict]]) -> list[str]:
    events = folder / "events.jsonl"
    events.unlink(missing_ok=True)
    monkeypatch.setenv(EVENTS_VARIABLE, str(events))
    seen = []
    samples = Samples(folder / "completions.jsonl", folder, 50, ("accuracy",), no_page)
    watch = Watch(folder, samples, Reporter("grpo", folder / "log"), lambda *step: seen.append(step))
    for step, values in steps:
        watch(step, 60, values)
    assert [step for step, _, _ in seen] == [step for step, _ in steps]
    return [json.loads(line)["figure"] for line in events.read_text().splitlines()] if events.exists() else []


def test_each_measurement_is_told_with_the_best_so_far(tmp_path, monkeypatch):
    logged = [
        (0, {"eval_accuracy": 0.75}),
        (1, {"reward": 1.0}),
        (2, {"eval_accuracy": 0.5}),
        (2, {"reward": 1.0}),
        (4, {"eval_accuracy": 0.25}),
    ]
    assert watched(tmp_path, monkeypatch, logged) == [
        "held-out accuracy at step 0: 0.750",
        "held-out accuracy at step 2: 0.500; best so far 0.500 at step 2",
        "held-out accuracy at step 4: 0.250; best so far 0.500 at step 2",
    ]


def test_an_alarm_is_told_once_when_it_starts_and_not_again_by_a_call_that_goes_on(tmp_path, monkeypatch):
    told = watched(tmp_path, monkeypatch, [(step, EQUAL) for step in range(1, 31)])
    assert told == ["alarm at step 20: 100% of the groups have equal rewards and teach nothing"]
    saved = tmp_path / "checkpoint-30"
    saved.mkdir()
    history = [{"step": step, **EQUAL} for step in range(1, 31)]
    (saved / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    assert watched(tmp_path, monkeypatch, [(step, EQUAL) for step in range(31, 41)]) == []
