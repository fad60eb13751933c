"""The time that is left."""

import pytest

from globe.training.pace import RECENT, Pace, in_words


def test_the_time_left_follows_the_recent_steps():
    now = iter([100.0 * step for step in range(100)] + [100.0 * 99 + 10.0 * step for step in range(1, 101)])
    pace = Pace(clock=lambda: next(now))
    left = [pace.left_s(step, 1000) for step in range(1, 201)]
    assert left[0] is None
    assert left[1] == pytest.approx(998 * 100)
    assert left[99] == pytest.approx(900 * 100)
    assert left[99 + RECENT + 1] == pytest.approx((1000 - 121) * 10)


def test_several_figures_of_one_step_count_once_and_steps_may_be_logged_seldom():
    now = iter([0.0, 50.0])
    pace = Pace(clock=lambda: next(now))
    assert pace.left_s(5, 20) is None
    assert pace.left_s(5, 20) is None
    assert pace.left_s(10, 20) == pytest.approx(100)
    assert pace.left_s(10, 20) == pytest.approx(100)


@pytest.mark.parametrize(("seconds", "text"), [
    (None, ""), (0.0, ""), (42.4, "42 s left"), (60, "1 min left"), (3599, "1 h 0 min left"),
    (7800, "2 h 10 min left"), (86_400 * 2 + 3600 * 5, "2 d 5 h left"),
])  # fmt: skip
def test_the_time_left_is_told_in_the_units_that_matter(seconds, text):
    assert in_words(seconds) == text
