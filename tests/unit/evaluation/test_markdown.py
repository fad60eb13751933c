"""Figures and verdicts as Markdown."""

from globe.evaluation.markdown import escape, figures_table, verdict_text


def test_figures_are_a_table_with_intervals():
    metrics = {"accuracy": {"25": 50.0}, "ci95": {"25": [40.0, 60.0]}, "n": 10, "median_km": 12.4, "parsed_percent": 90.0}
    text = figures_table(metrics)
    assert "| 25 km | 50.0% | 40.0 to 60.0 |" in text
    assert "10 pictures, median distance 12 km, 90.0% of the answers could be read" in text


def test_a_verdict_says_what_follows_from_it():
    judged = {"verdict": "inconclusive", "decision": "reject", "reasons": ["n 20"], "promotes": True}
    assert verdict_text(judged).startswith("**inconclusive**\n\nAn inconclusive verdict does not pass.\n\n- n 20")
    passed = verdict_text(judged | {"decision": "promote", "promotes": False})
    assert "The recipe lets an inconclusive verdict pass. This run only judges: it promotes nothing." in passed
    assert (
        verdict_text({"verdict": "promote", "decision": "promote", "promotes": True, "reasons": ["x"]}) == "**promote**\n\n- x\n"
    )


def test_a_distance_that_nobody_could_measure_is_said():
    metrics = {"accuracy": {}, "ci95": {}, "n": 1, "median_km": None, "parsed_percent": 0.0}
    assert "no distance could be measured" in figures_table(metrics)


def test_text_of_unknown_origin_shows_as_it_is_and_stays_in_its_line():
    hostile = "a\n# title | [x](javascript:alert(1)) <img src=x> **b** `c`"
    text = escape(hostile)
    assert "\n" not in text
    assert "<img" not in text
    assert "\\[x\\](" in text
    assert "\\|" in text
    assert f"- {text}" in verdict_text({"verdict": "reject", "reasons": [hostile]})
