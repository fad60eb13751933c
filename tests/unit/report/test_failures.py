"""What became of the answers, and why calls failed."""

from dataclasses import replace

from report_inputs import PARIS, answered

from globe.report import EvaluationView
from globe.report.accuracy import evaluated
from globe.report.failures import answers


def test_every_status_is_counted_with_its_share(after):
    (row,) = answers(evaluated([after]))
    assert [(part["name"], part["count"], part["percent"]) for part in row["parts"]] == [
        ("placed on the map", 11, "91.7%"),
        ("answer not readable", 1, "8.3%"),
    ]
    assert row["n"] == "12"


def test_reasons_of_failed_calls_come_from_the_metrics_or_the_predictions():
    records = [answered(0, PARIS), *(answered(i, None, "", "call_failed") | {"error": "HTTP 500"} for i in (1, 2))]
    view = EvaluationView("x", {"n": 3}, records)
    assert answers(evaluated([view]))[0]["errors"] == [{"reason": "HTTP 500", "count": "2"}]
    told = replace(view, metrics={"n": 3, "errors": {"timed out": 2}})
    assert answers(evaluated([told]))[0]["errors"] == [{"reason": "timed out", "count": "2"}]


def test_answers_of_a_country_alone_are_a_figure_of_their_own(after):
    told = replace(after, metrics=after.metrics | {"country_level": {"count": 3, "percent": 25.0, "city_not_found": 1}})
    assert answers(evaluated([told]))[0]["country_level"] == {"count": "3", "percent": "25.0%", "city_not_found": "1"}
    assert answers(evaluated([after]))[0]["country_level"] is None


def test_without_predictions_there_is_nothing_to_tell(after):
    assert answers(evaluated([replace(after, predictions=None)])) == []
