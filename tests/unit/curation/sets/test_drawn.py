import io
from collections import Counter
from contextlib import ExitStack

import pytest
from PIL import Image

from globe.curation.sets.drawn import Choice, DrawnSet
from globe.curation.sets.draws import RANKS, rank
from globe.data.rows import Row
from globe.data.shards import DatasetWriter, dataset_digest, read_dataset

COUNTRIES = ("Chile", "France", "Japan", "Kenya", "Peru")


@pytest.fixture(scope="module")
def rows():
    """Sorted by country, as a folder of photos may be; every fourth cannot be located, every sixth is held out."""
    found = []
    for n in range(600):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (n % 256, n // 256, 0)).save(file, "PNG")
        country, localizable = COUNTRIES[n // 120], n % 4 != 0
        found.append(
            Row(
                id=f"p{n:03}", image=file.getvalue(), lat_deg=n / 10, lon_deg=0.0, country=country, city=f"C{n}",
                split="test" if n % 6 == 0 else "train", localizable=localizable, reasoning=f"text of p{n:03}",
                entities=[], provenance={"reasoning": "vlm-a"},
            )
        )  # fmt: skip
    return found


def drawn(folder, rows, choice):
    with ExitStack() as stack:
        target = stack.enter_context(DatasetWriter(folder / "set"))
        candidates = stack.enter_context(DrawnSet(target, folder / "candidates", choice))
        for row in rows:
            candidates.add(row)
        candidates.settle()
    return list(read_dataset(folder / "set"))


def lowest(rows, count):
    """The independent computation: sort all, and put those chosen back in order."""
    chosen = {row.id for row in sorted(rows, key=lambda row: rank(3, "row", row.id))[:count]}
    return [row for row in rows if row.id in chosen]


def test_a_limited_set_has_the_rows_of_lowest_rank_in_their_own_order(tmp_path, rows):
    train, test = ([row for row in rows if row.split == split] for split in ("train", "test"))
    found = drawn(tmp_path, rows, Choice(3, most_train=50))
    assert found == [row for row in rows if row in lowest(train, 50) + test]


def test_which_rows_are_chosen_depends_neither_on_their_order_nor_on_rows_of_higher_rank(tmp_path, rows):
    train = [row for row in rows if row.split == "train"]
    of_all = {row.id for row in drawn(tmp_path / "a", train, Choice(3, most_train=50))}
    assert {row.id for row in drawn(tmp_path / "b", train[::-1], Choice(3, most_train=50))} == of_all
    assert {row.id for row in drawn(tmp_path / "c", lowest(train, 120), Choice(3, most_train=50))} == of_all


@pytest.mark.parametrize("most", [0, 2, 40, 41, 10_000])
def test_a_balanced_set_has_as_many_yes_as_no_in_each_split_and_no_more_than_it_may(tmp_path, rows, most):
    found = drawn(tmp_path, rows, Choice(3, most_train=most, balanced=True))
    counts = Counter((row.split, row.localizable) for row in found)
    rarer = min(Counter(row.localizable for row in rows if row.split == "train").values())
    assert counts["train", True] == counts["train", False] == (min(rarer, most // 2) if most else rarer)
    of_test = Counter(row.localizable for row in rows if row.split == "test")
    assert counts["test", True] == counts["test", False] == min(of_test.values())
    no = [row for row in rows if row.split == "train" and not row.localizable]
    assert [row for row in found if row.split == "train" and not row.localizable] == lowest(no, counts["train", False])


def test_pictures_get_texts_of_other_countries_each_once_and_within_their_split(tmp_path, rows):
    found = drawn(tmp_path, rows, Choice(3, other_picture=0.4))
    made = [row for row in found if row.made]
    by_id = {row.id: row for row in rows}
    assert [row for row in found if not row.made] == rows
    wanted = {row.id for row in rows if row.localizable and rank(3, "other_picture", row.id) < 0.4 * RANKS}
    assert {row.provenance["image"] for row in made} == wanted  # though the source is sorted by country
    assert len({row.provenance["text"] for row in made}) == len(made) > 100
    for row in made:
        picture, text = by_id[row.provenance["image"]], by_id[row.provenance["text"]]
        assert (row.localizable, row.image) == (False, picture.image)
        assert (row.reasoning, row.country, row.city, row.lat_deg) == (text.reasoning, text.country, text.city, text.lat_deg)
        assert picture.country != text.country
        assert row.split == picture.split == text.split
        assert picture.localizable
        assert text.localizable


def test_made_rows_count_as_no_where_a_set_is_balanced(tmp_path, rows):
    few = [row for row in rows if row.localizable or row.id < "p010"]
    found = drawn(tmp_path, few, Choice(3, balanced=True, other_picture=0.5))
    for split in ("train", "test"):
        counts = Counter(row.localizable for row in found if row.split == split)
        natural = [row for row in few if row.split == split and not row.localizable]
        wanted = [r for r in few if r.split == split and r.localizable and rank(3, "other_picture", r.id) < 0.5 * RANKS]
        assert counts[True] == counts[False] == len(natural) + len(wanted)
    assert drawn(tmp_path / "again", few, Choice(3, balanced=True, other_picture=0.5)) == found


def test_within_a_limit_texts_come_from_rows_that_are_in_the_set_themselves(tmp_path, rows):
    found = drawn(tmp_path, rows, Choice(3, most_train=60, balanced=True, other_picture=1.0))
    of_split = {split: [row for row in rows if row.split == split and row.localizable] for split in ("train", "test")}
    eligible = {row.id for row in [*lowest(of_split["train"], 30), *of_split["test"]]}
    made = [row for row in found if row.made]
    assert made
    assert {name for row in made for name in (row.provenance["image"], row.provenance["text"])} <= eligible


def test_without_rows_of_one_verdict_a_balanced_set_is_empty(tmp_path, rows):
    assert drawn(tmp_path, [row for row in rows if row.localizable], Choice(3, balanced=True)) == []
    assert drawn(tmp_path / "none", [], Choice(3, balanced=True, other_picture=1.0, most_train=3)) == []


def test_in_one_country_no_text_is_lent(tmp_path, rows):
    found = drawn(tmp_path, rows[:120], Choice(3, other_picture=1.0))
    assert found == rows[:120]


def test_the_same_candidates_give_the_same_bytes(tmp_path, rows):
    choice = Choice(3, most_train=60, balanced=True, other_picture=0.3)
    for name in ("a", "b"):
        drawn(tmp_path / name, rows, choice)
    assert dataset_digest(tmp_path / "a" / "set") == dataset_digest(tmp_path / "b" / "set")
