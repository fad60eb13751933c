"""Comparisons: paired, with intervals, and only of the same pictures."""

import pytest
from records import PARIS, record

from globe.errors import InputError
from globe.evaluation.compare import compare


def test_a_paired_comparison_sees_a_small_steady_gain_that_separate_intervals_hide() -> None:
    a = [record(str(i), 0.0 if i % 2 else 500.0) for i in range(1000)]
    b = [record(str(i), 0.0 if i % 2 or i % 50 == 0 else 500.0) for i in range(1000)]
    result = compare(a, list(reversed(b)))
    entry = result["accuracy"]["25"]
    assert (entry["a"], entry["b"], entry["difference"]) == (50.0, 52.0, 2.0)
    assert 0 < entry["ci95"][0] < 2.0 < entry["ci95"][1]
    assert (result["wins"], result["losses"], result["ties"]) == (20, 0, 980)
    assert result["verdict"] == "b is better"
    assert compare(b, a)["verdict"] == "a is better"
    assert compare(a, a)["verdict"] == "no difference shown"


def test_comparing_different_pictures_is_refused() -> None:
    with pytest.raises(InputError, match="'b'"):
        compare([record("a"), record("b")], [record("a")])
    with pytest.raises(InputError, match="not in A"):
        compare([record("a")], [record("a"), record("c")])
    moved = {**record("a"), "truth": {**PARIS, "lat_deg": 0.0}}
    with pytest.raises(InputError, match="disagree"):
        compare([record("a")], [moved])
