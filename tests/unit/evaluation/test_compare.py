"""Comparisons: paired, with intervals and a verdict, and only of the same pictures."""

import json
from typing import Any

import pytest
from records import PARIS, record

from globe.errors import InputError
from globe.evaluation.compare import compare
from globe.evaluation.recipe import GateRecipe
from globe.figures.predictions import read_predictions, write_predictions

STRICT = GateRecipe(margin_percent=0)


def failed(identity: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("country", "city"))
    return record(identity, None, "call_failed", **nothing, error="500 Internal Server Error")


def test_a_paired_comparison_sees_a_small_steady_gain_that_separate_intervals_hide() -> None:
    a = [record(str(i), 0.0 if i % 2 else 500.0) for i in range(1000)]
    b = [record(str(i), 0.0 if i % 2 or i % 50 == 0 else 500.0) for i in range(1000)]
    result = compare(a, list(reversed(b)), rule=STRICT)
    entry = result["accuracy"]["25"]
    assert (entry["a"], entry["b"], entry["difference"]) == (50.0, 52.0, 2.0)
    assert 0 < entry["ci95"][0] < 2.0 < entry["ci95"][1]
    assert (result["wins"], result["losses"], result["ties"], result["discordant_percent"]) == (20, 0, 980, 2.0)
    assert result["verdict"] == "promote"
    assert compare(b, a, rule=STRICT)["verdict"] == "reject"
    same = compare(a, a, rule=STRICT)
    assert same["verdict"] == "inconclusive"
    assert same["accuracy"]["25"]["ci95"] == pytest.approx([-0.3827, 0.3827], abs=1e-3)


def test_a_geoscores_interval_is_a_paired_bootstraps() -> None:
    a = [record(str(i), float(i % 7) * 100) for i in range(300)]
    b = [record(str(i), float(i % 7) * 90) for i in range(300)]
    entry = compare(a, b, rounds=500)["geoscore"]
    assert entry["ci95"][0] < entry["difference"] < entry["ci95"][1]
    assert entry["difference"] == pytest.approx(entry["b"] - entry["a"], abs=1e-3)
    assert entry["ci95"][1] - entry["ci95"][0] < 0.3 * entry["difference"]  # pairs cancel out what both find hard


def test_pictures_of_one_photographer_widen_an_interval() -> None:
    def asked(right: int, photographer: str | None) -> list[dict[str, Any]]:
        truth = [PARIS | {"photographer": photographer and f"{photographer}{i // 10}"} for i in range(400)]
        return [record(str(i), 0.0 if i < right else 500.0) | {"truth": truth[i]} for i in range(400)]

    alone, together = (compare(asked(200, who), asked(220, who)) for who in (None, "p"))
    assert together["accuracy"]["25"]["ci95"][0] < alone["accuracy"]["25"]["ci95"][0]
    assert "photographer (40)" in together["intervals"]
    for a, b in ((None, "p"), ("p", None)):  # an older evaluation did not say who took the pictures
        assert compare(asked(200, a), asked(220, b))["accuracy"] == together["accuracy"]
    assert "photographer" not in alone["intervals"]


def test_comparing_different_pictures_is_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 predictions of A are not in B, such as 'b'"):
        compare([record("a"), record("b")], [record("a")])
    with pytest.raises(InputError, match="not in A"):
        compare([record("a")], [record("a"), record("c")])
    for change in ({"lat_deg": 0.0}, {"city": "Lyon"}):
        moved = {**record("a"), "truth": {**PARIS, **change}}
        with pytest.raises(InputError, match="disagree"):
            compare([record("a")], [moved])


def test_an_answer_that_is_placed_by_its_country_alone_counts_at_no_small_distance() -> None:
    a = [record(str(i), 500.0) for i in range(4)]
    b = [record(str(i), 0.0, level="country") for i in range(4)]  # at the true place, as if by chance
    found = compare(a, b)["accuracy"]
    assert [found[km]["b"] for km in ("1", "25", "200", "750", "2500")] == [0.0, 0.0, 0.0, 100.0, 100.0]


def test_failed_calls_are_wrong_answers_of_either_model() -> None:
    whole = [record(str(i)) for i in range(315)]
    partly = [failed(str(i)) if i < 48 else record(str(i)) for i in range(315)]
    worse, better = compare(whole, partly), compare(partly, whole)
    assert (worse["n"], worse["losses"], better["wins"]) == (315, 48, 48)
    assert (worse["verdict"], better["verdict"]) == ("reject", "promote")


def test_answers_with_odd_line_breaks_lose_no_row_on_either_side(tmp_path) -> None:
    breaks = ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\r"]
    for name, right in (("a", 20), ("b", 0)):
        records = [record(str(i), 0.0 if i < right else 500.0, answer=f"Paris{breaks[i % 7]}France") for i in range(120)]
        (tmp_path / name).mkdir()
        write_predictions(tmp_path / name, records)
        raw = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)  # as other programs write them
        (tmp_path / f"{name}-raw").mkdir()
        (tmp_path / f"{name}-raw" / "predictions.jsonl").write_bytes(raw.encode())
    for suffix in ("", "-raw"):
        result = compare(read_predictions(tmp_path / f"a{suffix}"), read_predictions(tmp_path / f"b{suffix}"))
        assert (result["n"], result["losses"], result["verdict"]) == (120, 20, "reject")
