"""Summaries and comparisons as a terminal shows them."""

from globe.evaluation.compare import compare
from globe.evaluation.show import comparison_lines, summary_lines
from globe.figures.metrics import summarize

PARIS = {"country": "France", "city": "Paris", "lat_deg": 48.85341, "lon_deg": 2.3488}
NOWHERE = dict.fromkeys(PARIS)
RIGHT = [{"id": str(i), "status": "ok", **PARIS, "truth": PARIS} for i in range(4)]
HALF = [*RIGHT[:2], *({"id": str(i), "status": "not_parsed", **NOWHERE, "truth": PARIS} for i in (2, 3))]


def test_a_summary_counts_what_failed_and_gives_every_figure_its_interval():
    lines = list(summary_lines(summarize(HALF, rounds=20)))
    assert lines[0] == "4 predictions: 2 parsed, 2 with a position, 2 failed (2 not parsed)"
    assert [line.split()[:6] for line in lines if line.startswith("within 25 km")] == [
        ["within", "25", "km,", "%", "50.00", "15.00"]
    ]
    assert "by city size:" in lines
    assert any(line.split() == ["median", "km", "-", "-", "to", "-"] for line in lines)  # too few for an interval of it
    twice = [record | {"id": f"{record['id']}{half}"} for half in "ab" for record in HALF]
    assert any(line.split() == ["median", "km", "-", "0.00", "to", "-"] for line in summary_lines(summarize(twice, rounds=200)))


def test_a_comparison_shows_both_models_their_difference_and_what_would_decide():
    lines = list(comparison_lines(compare(HALF, RIGHT, rounds=20)))
    assert lines[0] == "4 pictures in both; B against A: inconclusive (within 25 km: 2 won, 0 lost)"
    assert lines[1].startswith("within 25 km 100.0% against 50.0% (A), n 4: +50.0 points, 95% interval ")
    assert "at least 100 pictures are required" in lines[1]
    row = next(line for line in lines if line.startswith("within 25 km,"))
    assert row.split()[4:7] == ["50.00", "100.00", "50.00"]
    powered = compare(HALF, RIGHT) | {"power": {"points": 2.0, "power_percent": 80.0, "needed_pictures": 9812}}
    assert (
        "about 9,812 pictures show a difference of 2 points within 25 km in 80% of the cases"
        in list(comparison_lines(powered))[-1]
    )


def test_failures_are_a_table_and_no_figure_is_nan():
    failed = [{"id": f"x{i}", "status": "call_failed", "error": "HTTP 500", **NOWHERE, "truth": PARIS} for i in range(6)]
    lines = list(summary_lines(summarize([*HALF, *failed], rounds=5)))
    start = next(i for i, line in enumerate(lines) if line.startswith("failures"))
    assert [line.split() for line in lines[start + 1 : start + 4]] == [
        ["not", "parsed", "2", "20.00", "5.67", "to", "50.98"], ["call", "failed", "6", "60.00", "31.27", "to", "83.18"],
        ["6", "x", "HTTP", "500"],
    ]  # fmt: skip
    nothing = list(summary_lines(summarize(failed[:1], rounds=5)))
    assert not any(word in line for line in (*lines, *nothing) for word in ("nan", "inf", "None"))


def test_of_many_countries_the_table_shows_the_largest_and_says_how_many_more_there_are():
    names = ["AR", "BR", "CA", "CL", "CN", "DE", "ES", "FR", "GB", "IT", "JP", "KE"]
    truths = [PARIS | {"country": name, "city": ""} for name in names for _ in range(2 if name == "KE" else 1)]
    lines = list(summary_lines(summarize([RIGHT[0] | {"id": str(i), "truth": t} for i, t in enumerate(truths)], rounds=5)))
    start = lines.index("by country:")
    assert lines[start + 1].split()[:3] == ["Kenya", "n", "2"]
    assert lines[start + 11] == "  and 2 more with n 2 in all; --json has them"
