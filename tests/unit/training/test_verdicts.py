"""The judge's training rows: both verdicts alike, and no text that gives a verdict away."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from traced import traced_peak_bytes

from globe.answer.render import render
from globe.data.rows import Row
from globe.rewards.localizability import question
from globe.training.verdicts import balanced, borrowed, export_verdicts


def picture(number: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, "PNG")
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


def test_a_made_row_keeps_its_picture_and_its_text_and_nobody_borrows_for_it():
    yes, no = rows(1, 1)
    made = yes.model_copy(update={"id": "made", "localizable": False, "provenance": {"made": "cues_removed"}})
    assert [row.id for row in borrowed([yes, no, made])] == [no.id]
    assert {row.id for row in balanced([yes, no, made])} == {yes.id, no.id, made.id}


def exported(tmp_path: Path, given: list[Row], balance: bool = True) -> tuple[int, list[Row], list[dict]]:
    held_out: list[Row] = []
    path = tmp_path / "train.jsonl"
    count = export_verdicts(iter(given), path, tmp_path / "pictures", held_out, balance)
    lines = path.read_text().splitlines() if path.exists() else []
    return count, held_out, [json.loads(line) for line in lines]


def test_each_line_has_the_picture_of_its_row_whoever_lent_the_text(tmp_path):
    given = [row.model_copy(update={"image": picture(n)}) for n, row in enumerate(rows(4, 2))]
    given += [row.model_copy(update={"id": f"held-{row.id}", "split": "test"}) for row in given]
    count, held_out, lines = exported(tmp_path, given)
    assert (count, held_out) == (6, given[6:])
    seen = Counter(
        (Path(line["images"][0]).read_bytes(), line["messages"][0]["content"], line["messages"][1]["content"]) for line in lines
    )
    training = given[:6]
    expected = Counter(
        (row.image, f"<image>{question(render(row.reasoning, row.country, row.city))}", "yes" if row.localizable else "no")
        for row in balanced(training + borrowed(training))
    )
    assert seen == expected
    assert Counter(answer for _, _, answer in seen.elements()) == {"yes": 4, "no": 4}


def test_rows_of_one_verdict_are_not_trained_on(tmp_path):
    assert exported(tmp_path, rows(3, 0)) == (0, [], [])


def test_the_pictures_to_train_on_are_not_held_in_memory(tmp_path):
    size = 200_000

    def many() -> Iterator[Row]:
        for n, row in enumerate(rows(200, 200)):
            yield row.model_copy(update={"image": picture(n % 256) + n.to_bytes(2) + bytes(size)})

    def work():
        assert export_verdicts(many(), tmp_path / "train.jsonl", tmp_path / "pictures", [], balance=True) == 400

    assert traced_peak_bytes(work) < 100 * size  # of 400 pictures
