import hashlib
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_photos import jpeg, photo

from globe.curation.guard import facts
from globe.curation.guard.facts import (
    BATCH_ROWS,
    FACTS_NAME,
    SCHEMA,
    Facts,
    facts_of,
    facts_of_set,
    read_facts,
    write_facts,
)
from globe.curation.guard.near_duplicates import perceptual_hash
from globe.curation.recipe import CurationRecipe
from globe.data.named import given_path
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.errors import InputError


def some_facts(count):
    rng = random.Random(count)
    return [
        Facts(
            id=f"Ünï/{number}.jpg",
            sha256=rng.randbytes(32),
            lat_deg=rng.uniform(-90, 90),
            lon_deg=rng.uniform(-180, 180),
            country=rng.choice(["", "Österreich"]),
            city=rng.choice(["", "東京", 'a "b", c']),
            split=rng.choice(["train", "test"]),
            photographer=rng.choice(["", "12345@N00"]),
            phash=rng.choice([None, 0, 2**64 - 1, rng.getrandbits(64)]),
        )
        for number in range(count)
    ]


def row(number, **changes):
    fields = {"lat_deg": 48.2, "lon_deg": 16.4, "country": "Austria", "city": "Vienna", "split": "test"}
    return Row(**({"id": f"p{number}", "image": jpeg(photo(number, (160, 120)))} | fields | changes))


def test_the_facts_of_a_row_are_what_can_be_compared_of_it():
    one = row(1, provenance={"photographer": "somebody", "position": "exif"})
    assert facts_of(one) == Facts(
        "p1", hashlib.sha256(one.image).digest(), 48.2, 16.4, "Austria", "Vienna", "test", "somebody", perceptual_hash(one.image)
    )
    assert facts_of(row(1, image=b"damaged")).phash is None


@pytest.mark.parametrize("count", [0, 1, BATCH_ROWS, 2 * BATCH_ROWS + 5])
def test_facts_are_read_as_they_were_written(tmp_path, count):
    facts = some_facts(count)
    write_facts(tmp_path / FACTS_NAME, iter(facts))
    assert list(read_facts(tmp_path / FACTS_NAME)) == facts
    assert os.listdir(tmp_path) == [FACTS_NAME]


def test_the_same_facts_make_the_same_file(tmp_path):
    for name in ("a", "b"):
        write_facts(tmp_path / name, iter(some_facts(100)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_writing_that_fails_leaves_no_file_and_not_an_earlier_one(tmp_path):
    path = tmp_path / FACTS_NAME
    write_facts(path, some_facts(3))

    def cut_off():
        yield from some_facts(BATCH_ROWS + 1)
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        write_facts(path, cut_off())
    assert os.listdir(tmp_path) == []


def test_a_file_of_facts_that_is_damaged_or_another_is_told_by_its_name(tmp_path):
    path = tmp_path / FACTS_NAME
    write_facts(path, some_facts(1000))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"facts\.parquet: not readable"):
        list(read_facts(path))
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(InputError, match=r"facts\.parquet: its columns"):
        list(read_facts(path))
    with pytest.raises(InputError, match="none"):
        list(read_facts(tmp_path / "none"))


def test_the_columns_of_a_file_are_the_fields_of_facts():
    assert SCHEMA.names == list(Facts.__slots__)


def test_the_facts_of_a_test_set_are_those_of_its_rows(tmp_path):
    rows = [row(number) for number in range(3)]
    write_dataset(tmp_path, iter(rows))
    assert list(facts_of_set(given_path(tmp_path))) == [facts_of(one) for one in rows]


def test_a_test_picture_far_from_any_place_counts_too(tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(photo(number, (160, 120))))
    table = Path(tmp_path / "table.csv")
    table.write_text("image,lat,lon\n0.jpg,-48.9,-123.4\n1.jpg,48.2,16.4\n")  # the first one in the middle of the Pacific
    found = {facts.id: facts for facts in facts_of_set(given_path(table))}
    assert [facts.country for facts in found.values()] == ["", "Austria"]
    assert all(facts.phash is not None for facts in found.values())


@pytest.mark.parametrize(("content", "told"), [("image,y,x\n0.png,1,2\n", "lacks a column"), ("image,lat,lon\n", "no rows")])
def test_a_test_set_that_could_not_be_read_is_told_before_anybody_is_asked(tmp_path, content, told):
    (tmp_path / "bad.csv").write_text(content)
    with pytest.raises(InputError, match=rf"^test_sets: .*bad\.csv: .*{told}"):
        facts.test_sets_of(CurationRecipe(test_sets=[str(tmp_path / "bad.csv")]))
