"""Figures beyond distances and names."""

import json

import pytest
from simulated import answers

from globe.figures.further import further_figures


def test_records_that_allow_no_further_figures_have_none():
    assert further_figures([]) == {}
    assert further_figures([record | {"confidence": None} for record in answers("calibrated", 5)]) == {}


def test_figures_are_those_that_the_records_allow_and_json():
    records = answers("calibrated", 300)
    assert further_figures(records).keys() == {"confidence", "radius"}
    for at, record in enumerate(records):
        record["truth"]["localizable"] = at % 3 > 0
    found = further_figures(records)
    assert found.keys() == {"confidence", "radius", "abstention"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("bad", [None, "", "x", float("nan"), float("inf"), [], {}, -1, True, 10**400])
def test_no_value_of_a_record_ends_it(bad):
    records = answers("calibrated", 130)
    for at, name in enumerate(("answer", "level", "lat_deg", "lon_deg", "confidence", "agreement", "samples", "status", "city")):
        records[at][name] = bad
    for at, name in enumerate(("lat_deg", "country", "localizable", "entities", "photographer", "scene"), start=20):
        records[at]["truth"] = records[at]["truth"] | {name: bad}
    records[40]["truth"] = {}
    found = further_figures(records)
    assert found.keys() >= {"confidence", "radius"}
    json.dumps(found, allow_nan=False)
