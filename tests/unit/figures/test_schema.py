"""The schema of metrics.json: real summaries satisfy it, as does an evaluation with every key."""

import pytest
from jsonschema import Draft202012Validator
from records import record
from report_sample import further_keys, many_records

from globe.errors import InputError
from globe.figures.metrics import summarize
from globe.figures.schema import check_figures, schema

SUMMARIES = {
    "one right answer": [record("a")],
    "no answer at all": [record("a", None, "no_answer"), record("b", None, "call_failed")],
    "answers of every kind": many_records(200),
}


def complaints(content):
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema()).iter_errors(content)]


def test_it_is_a_json_schema_whose_keys_are_explained():
    Draft202012Validator.check_schema(schema())
    assert schema()["properties"]["geoscore"]["description"].startswith("Mean of 5000")


@pytest.mark.parametrize("name", SUMMARIES)
def test_real_summaries_satisfy_it(name):
    summary = summarize(SUMMARIES[name], rounds=20)
    assert complaints(summary) == []
    assert check_figures(summary, "metrics.json") == summary


def test_an_evaluation_with_every_key_satisfies_it():
    full = summarize(many_records(60), rounds=5) | further_keys(60) | {"model": "m", "warnings": ["cut off"]}
    assert complaints(full) == []
    assert check_figures(full, "metrics.json") == full


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"n": -1}, "n"),
        ({"accuracy": {"25": 101.0}}, "accuracy.25"),
        ({"accuracy": None}, "accuracy"),
        ({"country_match": "most"}, "country_match"),
        ({"slices": {"continent": {"Asia": {"n": 1}}}}, "slices.continent.Asia.accuracy"),
        ({"radius": {"coverage_percent": 90}}, "radius.level_percent"),
    ],
)
def test_wrong_figures_are_refused_by_the_schema_and_in_one_line(change, key):
    broken = summarize([record("a")], rounds=5) | change
    assert complaints(broken)
    with pytest.raises(InputError, match=rf"a/metrics\.json: {key}: "):
        check_figures(broken, "a/metrics.json")


@pytest.mark.parametrize("content", [[], "text", None, 3])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(InputError, match=r"a/metrics\.json: "):
        check_figures(content, "a/metrics.json")
