"""The judge's training rows: both verdicts alike, and no text that gives a verdict away."""

import io

from PIL import Image

from globe.data.rows import Row
from globe.training.reward_model import balanced, borrowed


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def rows(yes: int, no: int) -> list[Row]:
    common = {"image": picture(), "lat_deg": 0.0, "lon_deg": 0.0, "split": "train"}
    located = [
        Row(id=f"y{n}", country="France", city=f"C{n}", localizable=True, reasoning=f"clue {n}", **common) for n in range(yes)
    ]
    blank = [Row(id=f"n{n}", country="Peru", city="Lima", localizable=False, reasoning="only fog", **common) for n in range(no)]
    return located + blank


def test_the_rarer_verdict_is_repeated_until_both_are_as_many():
    chosen = balanced(rows(7, 2))
    assert sum(bool(row.localizable) for row in chosen) == 7
    assert len(chosen) == 14
    assert {row.id for row in chosen} == {row.id for row in rows(7, 2)}


def test_a_picture_that_cannot_be_located_borrows_the_text_of_one_that_can():
    lent = borrowed(rows(3, 5))
    assert [row.id for row in lent] == [f"n{n}" for n in range(5)]
    assert all(row.localizable is False for row in lent)
    assert [(row.reasoning, row.city) for row in lent[:4]] == [
        ("clue 0", "C0"),
        ("clue 1", "C1"),
        ("clue 2", "C2"),
        ("clue 0", "C0"),
    ]


def test_without_a_lender_nothing_is_borrowed():
    assert borrowed(rows(0, 2)) == []
