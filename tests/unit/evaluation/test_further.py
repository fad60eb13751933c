"""Figures beyond distances and names."""

from globe.evaluation.further import further_figures


def test_records_that_allow_no_further_figures_have_none():
    assert further_figures([]) == {}
