import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.report.charts import curve, nice_ticks, reward_curves

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(NUMBERS, NUMBERS)
def test_ticks_enclose_the_values_and_are_few(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8


def test_the_means_are_those_of_the_first_and_last_ten_steps() -> None:
    values = [i / 100 for i in range(60)]
    found = curve("reward", list(range(1, 61)), values)
    assert found is not None
    assert (found.first_mean, found.last_mean, found.window) == (pytest.approx(0.045), pytest.approx(0.545), 10)
    assert (found.first_step, found.last_step, found.steps) == ("1", "60", 60)


def test_a_short_curve_compares_its_halves() -> None:
    found = curve("reward", [1, 2, 3, 4], [0.0, 0.2, 0.6, 0.8])
    assert found is not None
    assert (found.window, found.first_mean, found.last_mean) == (2, pytest.approx(0.1), pytest.approx(0.7))


def test_a_curve_of_one_point_and_a_flat_one_can_be_drawn() -> None:
    for values in ([0.5], [1.0, 1.0, 1.0]):
        found = curve("reward", list(range(len(values))), values)
        assert found is not None
        assert "nan" not in found.points + found.trend


def test_no_point_is_no_curve() -> None:
    assert curve("reward", [], []) is None
    assert reward_curves([]) == (None, [])
    assert reward_curves([{"step": 1, "reward": None}]) == (None, [])


def test_single_rewards_are_told_apart_by_name_and_gaps_are_left_out() -> None:
    log = [
        {"step": 2, "reward": 0.4, "rewards/B/mean": 0.1},
        {"step": 1, "reward": 0.2, "rewards/A/mean": 0.3, "rewards/A/std": 9},
    ]
    main, parts = reward_curves(log)
    assert main is not None
    assert main.points == "M0.0 300.0L1000.0 0.0"
    assert [part.name for part in parts] == ["A", "B"]
