"""Figures and verdicts as Markdown."""

from globe.evaluation.markdown import comparison_table, figures_table, verdict_text
from globe.markdown import escape, is_plain
from globe.report import EvaluationView


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


def test_reasons_of_unknown_origin_stay_text():
    hostile = "a\n# title | [x](javascript:alert(1)) <img src=x>"
    assert f"- {escape(hostile)}" in verdict_text({"verdict": "reject", "reasons": [hostile]})


FIGURES = {"n": 2997, "accuracy": {"25": 37.25, "200": 52.0, "750": 70.1}, "ci95": {"25": [35.54, 39.0]}, "median_km": 1234.5}


def test_several_evaluations_are_columns_with_their_intervals_and_numbers():
    change = {"n": 2997, "accuracy": {"25": {"difference": 2.5, "ci95": [1.0, 4.04]}}, "verdict": "promote"}
    text = comparison_table([EvaluationView("a", FIGURES), EvaluationView("b", FIGURES, change=change)])
    assert text.splitlines()[:4] == [
        "| | a | b |",
        "|---|---|---|",
        "| pictures | 2,997 | 2,997 |",
        "| within 25 km | 37.2% (35.5 to 39.0) | 37.2% (35.5 to 39.0) |",
    ]
    assert "| right country | – | – |" in text
    assert "| median distance | 1,234 km | 1,234 km |" in text
    assert "- b against a, 2,997 pictures, within 25 km: +2.5 points (95% interval +1.0 to +4.0); promote" in text


def test_other_pictures_are_not_compared_and_warnings_are_kept():
    text = comparison_table([EvaluationView("a", FIGURES), EvaluationView("b", FIGURES | {"warnings": ["12 were cut off"]})])
    assert "- b was not asked about the same pictures as a" in text
    assert "- b: 12 were cut off" in text


def test_a_name_of_unknown_origin_cannot_break_the_table():
    hostile = "x | y\n\n# <script>alert(1)</script> [a](javascript:b) @team " + "z" * 500
    text = comparison_table([EvaluationView(hostile, FIGURES)])
    head, rule, *_ = text.splitlines()
    assert head.replace("\\|", "").count("|") == 3
    assert rule == "|---|---|"
    assert "<script" not in text
    assert len(head) < 200


ATTACK = "25 |\n\n# Approved\n![x](https://evil.example/p.png) <img src=//evil.example> @team #1 \x1b]52;c;aGFja2Vk\x07 [a](b) x"


def test_a_figures_name_makes_neither_row_nor_picture_nor_notice():
    figures = {"accuracy": {ATTACK: 50.0}, "ci95": {ATTACK: [40.0, 60.0]}, "n": ATTACK, "parsed_percent": 90.0}
    text = figures_table(figures)
    assert is_plain(text)
    assert len(text.splitlines()) == 5
    assert text.splitlines()[2].startswith("| 25 \\| \\# Approved \\!")
    assert is_plain(verdict_text({"verdict": ATTACK, "reasons": [ATTACK]}))
    assert not is_plain(ATTACK)
