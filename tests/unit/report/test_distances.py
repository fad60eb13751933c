"""The distance curve says what the table says, and has a band that holds the truth."""

import math

import numpy as np
import pytest
from report_inputs import LYON, PARIS, answered

from globe.report.accuracy import evaluated
from globe.report.answers import prediction_of
from globe.report.distances import TABLE_KM, counted, distances, half_width, share_within


def test_the_curve_passes_through_the_figures_of_the_table(after):
    (curve,) = distances(evaluated([after]))["curves"]
    for km, share in after.metrics["accuracy"].items():
        if int(km) in TABLE_KM:
            assert curve.shares[TABLE_KM.index(int(km))] == f"{share:.1f}%"
    assert curve.n == "12"


def test_an_answer_without_a_place_is_never_within():
    km = counted([prediction_of(answered(0, PARIS)), prediction_of(answered(1, None, "fog", "not_parsed"))])
    assert share_within(km, [1e9]) == [0.5]


def test_a_country_alone_counts_from_750_km_on():
    near = answered(0, LYON) | {"level": "country", "distance_km": 12.0}
    km = counted([prediction_of(near)])
    assert share_within(km, [25, 200, 749, 750, 2500]).tolist() == [0, 0, 0, 1, 1]


def test_the_line_stays_in_its_box_and_rises(after):
    (curve,) = distances(evaluated([after]))["curves"]
    points = [tuple(map(float, point.split())) for point in curve.line.removeprefix("M").split("L")]
    assert points[0][0] == 0
    assert points[-1] == (1000, 25)
    assert all(0 <= y <= 300 for _, y in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)


@pytest.mark.parametrize("n", [20, 200])
def test_the_band_holds_the_whole_curve_in_95_percent_of_samples(n):
    rng = np.random.default_rng(0)
    grid = np.linspace(0, 1, 401)
    held = [np.abs(share_within(np.sort(rng.uniform(size=n)), grid) - grid).max() <= half_width(n) for _ in range(1000)]
    assert np.mean(held) >= 0.94
    assert half_width(n) == pytest.approx(math.sqrt(math.log(40) / (2 * n)))


def test_without_predictions_there_is_no_curve():
    assert distances([]) is None
