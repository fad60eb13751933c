"""What was asked: the data set, the settings and the times, as readers see them."""

from dataclasses import replace

from report_sample import further_keys

from globe.report.accuracy import evaluated
from globe.report.provenance import provenance

KEYS = {key: further_keys(100)[key] for key in ("dataset", "manifest", "timing")}


def rows(found, part):
    return {row["name"]: [cell["text"] for cell in row["cells"]] for row in found[part]}


def test_where_nothing_was_recorded_there_is_no_section(after):
    assert provenance(evaluated([after])) is None
    assert provenance([]) is None


def test_the_data_set_says_what_was_not_usable_and_why(after):
    found = rows(provenance(evaluated([replace(after, metrics=after.metrics | KEYS)])), "data")
    assert found["not usable"] == ["6 file missing (the first: a.jpg), 2 row not in table"]
    assert found["rows expected"] == ["2,997"]


def test_times_are_written_as_people_read_them(after):
    found = rows(provenance(evaluated([replace(after, metrics=after.metrics | KEYS)])), "timing")
    assert found["took"] == ["31 min 14 s"]
    assert found["pictures a second"] == ["6.40"]
    assert found["time to the first token"] == ["median 210 ms, 95th percentile 800 ms"]
    assert found["tokens"] == ["prompt 16,680,000, completion 2,880,000"]


def test_settings_that_differ_are_marked_and_missing_ones_are_a_dash(before, after):
    one = replace(before, metrics=before.metrics | {"manifest": {"model": "a", "seed": 0}})
    other = replace(after, metrics=after.metrics | {"manifest": {"model": "b", "seed": 0, "max_tokens": 9}})
    found = provenance(evaluated([one, other]))["settings"]
    assert [(row["name"], row["differs"]) for row in found] == [("model", True), ("seed", False), ("max tokens", True)]
    assert [cell["text"] for cell in found[2]["cells"]] == ["–", "9"]


def test_a_long_prompt_is_folded_away(after):
    found = provenance(evaluated([replace(after, metrics=after.metrics | KEYS)]))["settings"]
    assert [row["name"] for row in found if row["cells"][0]["long"]] == ["prompt"]
