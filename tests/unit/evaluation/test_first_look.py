"""The pictures of a first look are a fair sample, and the same ones whatever the table's order."""

import hashlib
import random
from types import SimpleNamespace

from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.evaluation.first_look import choose, look_at, look_line, look_of, look_size
from globe.evaluation.recipe import EvaluationRecipe


def pictures(n, prefix="picture"):
    return [SimpleNamespace(id=f"{prefix}-{number:05d}", right=number < 0.4 * n) for number in range(n)]


def dataset(folder, names):
    place = {"image": b"x", "lat_deg": 1.0, "lon_deg": 2.0, "country": "", "city": "", "split": "test"}
    write_dataset(folder, [Row(id=name, **place) for name in names])


def ids(rows):
    return [row.id for row in rows]


def first_look(rows, recipe):
    chosen = choose(ids(rows), recipe)
    return [row for row in rows if row.id in chosen]


def test_the_pictures_are_those_whose_hashes_are_smallest_in_the_tables_order():
    rows = pictures(500)
    smallest = sorted(ids(rows), key=lambda name: hashlib.sha256(f"7\0{name}".encode()).digest())[:60]
    assert ids(first_look(rows, EvaluationRecipe(limit=60, seed=7))) == sorted(smallest)


def test_they_are_the_same_ones_in_a_table_that_is_sorted_otherwise_and_other_ones_for_another_seed():
    rows = pictures(500)
    mixed = random.Random(0).sample(rows, len(rows))
    recipe = EvaluationRecipe(limit=60)
    assert set(ids(first_look(mixed, recipe))) == set(ids(first_look(rows, recipe)))
    assert set(ids(first_look(rows, EvaluationRecipe(limit=60, seed=1)))) != set(ids(first_look(rows, recipe)))


def test_a_larger_look_holds_the_smaller_one():
    rows = pictures(500)
    small, large = (set(ids(first_look(rows, EvaluationRecipe(limit=limit)))) for limit in (60, 200))
    assert len(small) == 60
    assert small < large


def test_a_datasets_pictures_are_looked_at_in_its_order_and_all_of_them_without_a_limit(tmp_path):
    names = [f"p{number}" for number in random.Random(0).sample(range(20), 20)]
    dataset(tmp_path, names)
    for limit in (0, 20, 21):
        recipe = EvaluationRecipe(limit=limit)
        assert (ids(look_at(tmp_path, recipe)), look_size(tmp_path, recipe)) == (names, 20)
    recipe = EvaluationRecipe(limit=7)
    chosen = choose(names, recipe)
    assert ids(look_at(tmp_path, recipe)) == [name for name in names if name in chosen]
    assert look_size(tmp_path, recipe) == len(chosen) == 7


def test_the_share_of_right_answers_is_not_biased_by_a_sorted_table():
    """The first rows of this table are all right, and so would be a look at them; 40% of all are."""
    rows = pictures(2000)
    shares = [sum(row.right for row in first_look(rows, EvaluationRecipe(limit=100, seed=seed))) / 100 for seed in range(200)]
    mean, spread = sum(shares) / 200, (0.4 * 0.6 / 100 * (1900 / 1999)) ** 0.5
    assert abs(mean - 0.4) < 3 * spread / 200**0.5
    assert 0.8 < (sum((share - mean) ** 2 for share in shares) / 199) ** 0.5 / spread < 1.2


def test_a_folder_tells_looks_apart_and_all_pictures_are_all_however_many_may_be_asked_about(tmp_path):
    dataset(tmp_path, [f"p{number}" for number in range(5)])
    assert {look_of(tmp_path, EvaluationRecipe(limit=limit, seed=limit)) for limit in (0, 5, 6)} == {"all"}
    assert len({look_of(tmp_path, EvaluationRecipe(limit=limit, seed=seed)) for limit in (2, 4) for seed in (0, 1)}) == 4


def test_the_reader_is_told_what_a_look_says_of_all_pictures():
    metrics = {"n": 300, "accuracy": {"25": 38.0}, "ci95": {"25": [32.66, 43.61]}}
    [line] = look_line(metrics, EvaluationRecipe(limit=300))
    assert "300 pictures: 38.0% of them are within 25 km" in line
    assert "32.7 to 43.6%" in line
    assert look_line(metrics, EvaluationRecipe()) == []
    assert look_line(metrics | {"n": 299}, EvaluationRecipe(limit=300)) == []  # these are all that there are
