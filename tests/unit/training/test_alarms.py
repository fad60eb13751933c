"""Alarms are raised when something goes wrong, once, and not by noise."""

import random

import pytest

from globe.training.alarms import WINDOW, Alarm, alarms

STEPS = 400
USUAL = {
    "reward": (1.5, 0.2),
    "frac_reward_zero_std": (0.3, 0.15),
    "completions/mean_length": (120.0, 10.0),
    "completions/clipped_ratio": (0.02, 0.02),
    "rewards/format/mean": (0.9, 0.05),
    "rewards/accuracy/mean": (0.5, 0.1),
    "rewards/visual_precision/mean": (0.5, 0.1),
}
"""Mean and scatter of what a training logs that goes neither up nor down."""


def history(steps: int = STEPS, seed: int = 0, **drift: tuple[int, float]) -> list[dict]:
    """A training's log; a figure with a drift, (step, change), changes by so much within 50 steps of that step."""
    source = random.Random(seed)
    drifts = {name: drift[key] for name in USUAL if (key := name.split("/")[-2 if "rewards/" in name else -1]) in drift}
    logged = []
    for step in range(1, steps + 1):
        values = {"step": step}
        for name, (mean, scatter) in USUAL.items():
            start, change = drifts.get(name, (0, 0.0))
            moved = change * min(1.0, max(0, step - start) / 50) if start else 0.0
            values[name] = max(0.0, source.gauss(mean + moved, scatter))
        logged.append(values)
    return logged


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_raises_nothing(seed):
    assert alarms(history(steps=2000, seed=seed)) == []


def test_a_training_that_learns_raises_nothing():
    assert alarms(history(accuracy=(50, 0.4), visual_precision=(50, 0.3), reward=(50, 1.0), format=(20, 0.09))) == []


@pytest.mark.parametrize(("drift", "kind", "said"), [
    ({"frac_reward_zero_std": (200, 0.5)}, "equal_rewards", "of the groups have equal rewards"),
    ({"mean_length": (200, 150.0)}, "length", "tokens on average"),
    ({"clipped_ratio": (200, 0.5)}, "clipped", "of the answers are cut off"),
    ({"format": (200, -0.5)}, "format", "the format is kept less often"),
    ({"accuracy": (200, -0.3), "visual_precision": (200, 0.3)}, "hacking", "visual_precision rises"),
])  # fmt: skip
def test_each_thing_that_goes_wrong_is_told_once_when_it_starts(drift, kind, said):
    (alarm,) = alarms(history(**drift))
    assert alarm.kind == kind
    assert 200 < alarm.step <= 250 + WINDOW
    assert said in alarm.text


def test_a_reward_that_rises_while_the_accuracy_stays_is_no_hacking_nor_is_an_accuracy_that_falls_alone():
    assert alarms(history(visual_precision=(200, 0.3))) == []
    assert alarms(history(accuracy=(200, -0.3))) == []


def test_a_recipe_that_is_rewarded_by_distance_is_watched_by_it():
    logged = history(accuracy=(200, -0.3), visual_precision=(200, 0.3))
    renamed = [{name.replace("accuracy", "distance"): value for name, value in values.items()} for values in logged]
    (alarm,) = alarms(renamed)
    assert "while distance falls" in alarm.text


def test_what_starts_again_after_it_was_over_is_told_again():
    steps = [0.9 if 100 <= step < 200 or step >= 300 else 0.1 for step in range(400)]
    logged = [{"step": step + 1, "reward": 1.0, "frac_reward_zero_std": share} for step, share in enumerate(steps)]
    assert [alarm.step for alarm in alarms(logged)] == [pytest.approx(110, abs=2), pytest.approx(310, abs=2)]


def test_the_alarms_of_a_training_that_goes_on_are_those_that_were_raised_and_later_ones():
    logged = history(format=(100, -0.5), frac_reward_zero_std=(200, 0.5), accuracy=(150, -0.3), visual_precision=(150, 0.3))
    whole = alarms(logged)
    assert {alarm.kind for alarm in whole} == {"format", "equal_rewards", "hacking"}
    for steps in range(0, STEPS, 7):
        assert alarms(logged[:steps]) == [alarm for alarm in whole if alarm.step <= steps]


def test_lines_without_a_reward_and_figures_that_are_not_logged_do_no_harm():
    logged = [{"step": step, "reward": 1.0} for step in range(1, 60)]
    assert alarms([{"step": 0, "eval_accuracy": 0.1}, *logged, {"step": 59, "train_runtime": 3.0}]) == []
    assert alarms([]) == []


def test_a_training_shorter_than_a_window_raises_nothing():
    assert alarms([{"step": step, "reward": 1.0, "frac_reward_zero_std": 1.0} for step in range(1, WINDOW)]) == []
    (alarm,) = alarms([{"step": step, "reward": 1.0, "frac_reward_zero_std": 1.0} for step in range(1, WINDOW + 1)])
    assert alarm == Alarm("equal_rewards", WINDOW, "100% of the groups have equal rewards and teach nothing")
