"""A radius for people."""

from simulated import answers

from globe.evaluation.show_radius import radius_lines
from globe.figures.radius import ANYWHERE_KM, calibrate


def test_each_group_and_continent_has_a_line_and_the_promise_is_told_apart_from_what_was_measured():
    radius = calibrate(answers("calibrated", 1000))
    lines = list(radius_lines(radius))
    measured = radius.measured
    assert f"it covers {measured['coverage_percent']:.1f}% of {measured['measured_on']} others" in lines[0]
    assert "90% promised" in lines[0]
    assert sum("km  n " in line for line in lines) == len(radius.groups)
    assert [line.split("  ")[1] for line in lines if "95% interval" in line[5:] and "%  n " in line] == list(
        measured["continents"]
    )
    assert any("measured, not promised" in line for line in lines)


def test_a_group_without_a_radius_is_said_to_be_anywhere():
    radius = calibrate(answers("calibrated", 1000))
    first = radius.groups[0].model_copy(update={"radius_km": ANYWHERE_KM, "level": "country"})
    lines = list(radius_lines(radius.model_copy(update={"groups": [first, *radius.groups[1:]]})))
    assert "anywhere" in lines[2]
    assert lines[2].endswith("country alone")
