import json

import pytest
from odd_photos import write_odd_photos
from PIL import Image

from globe.curation.cut import Shares, cut
from globe.curation.source_part import files_of, source_part
from globe.data.named import given_path
from globe.data.recipe import SourceRecipe
from globe.data.shards import read_dataset
from globe.data.sources import read_source
from globe.errors import InputError

RECIPE = SourceRecipe(max_unusable_percent=60)


@pytest.fixture
def table(tmp_path):
    return write_odd_photos(tmp_path / "photos", 30)


def parts_of(table, store, part_rows=11):
    shares = cut(source=str(table), recipe=RECIPE, part_rows=part_rows, annotators=1, store=store)
    return [source_part(source=str(table), recipe=RECIPE, shares=shares, part=part, store=store) for part in shares.of(0)]


def test_parts_one_after_the_other_are_the_source_but_for_what_only_the_whole_can_tell(table, tmp_path):
    parts = parts_of(table, tmp_path / "store")
    rows = [row for part in parts for row in read_dataset(files_of(part).data)]
    once = {row.id: row for row in reversed(rows)}
    assert [once[row.id] for row in read_source(given_path(table))] == list(read_source(given_path(table)))
    assert sum(part.outcome.figures["pictures"] + sum(part.outcome.figures["quarantined"].values()) for part in parts) == 30
    assert parts[2].outcome.figure.startswith("rows 23 to 30 of 30: ")


def test_a_refused_row_is_kept_with_its_place(table, tmp_path):
    (part,) = parts_of(table, tmp_path / "store", part_rows=100)
    files = files_of(part)
    listed = [line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    order, usable = [], iter([facts.id for facts in files.facts()])
    for refused in files.refused():
        order += [next(usable) for _ in range(refused.before - sum(1 for one in order if one[0] != "-"))]
        order.append(f"-{refused.id}")
    assert [name.removeprefix("-") for name in [*order, *usable]] == listed


def test_a_part_is_read_once_and_another_cut_is_another_part(table, tmp_path):
    first, again = parts_of(table, tmp_path / "store"), parts_of(table, tmp_path / "store")
    assert [part.reused for part in first] == [False] * 3
    assert [part.reused for part in again] == [True] * 3
    assert {part.key for part in first}.isdisjoint(part.key for part in parts_of(table, tmp_path / "store", part_rows=10))


def a_row_more(folder):
    """A row at the beginning: every other row is now one place further, and one of each part in the next one."""
    table = folder / "photos.csv"
    header, rows = table.read_text().split("\n", 1)
    table.write_text(f"{header}\nnew,0.png,41.9,12.5,Italy,Rome\n{rows}")


def a_table_less(folder):
    (folder / "photos.csv").unlink()
    (folder / "other.csv").write_text("image,lat,lon\n0.png,41.9,12.5\n")


@pytest.mark.parametrize(
    ("change", "told"),
    [(a_row_more, r"photos\.csv: sha256 \w+ before, sha256 \w+ now"), (a_table_less, "other.csv: not there")],
)
def test_a_part_of_another_source_than_was_cut_is_refused_and_nothing_that_was_done_is_lost(table, tmp_path, change, told):
    source, folder = str(table.parent), table.parent
    shares = cut(source=source, recipe=RECIPE, part_rows=10, annotators=3, store=tmp_path / "store")

    def read(store, parts):
        return [source_part(source=source, recipe=RECIPE, shares=shares, part=part, store=tmp_path / store) for part in parts]

    parts = [part for number in shares.numbers for part in shares.of(number)]
    expected = [list(read_dataset(files_of(part).data)) for part in read("undisturbed", parts)]
    kept = table.read_bytes()
    (first,) = read("store", parts[:1])
    change(folder)
    with pytest.raises(InputError, match=rf"photos: changed since it was cut into parts \(.*{told}.*\); put it back"):
        read("store", parts[1:])
    (folder / "other.csv").unlink(missing_ok=True)
    table.write_bytes(kept)
    again = read("store", parts)
    assert (again[0].key, again[0].reused) == (first.key, True)
    assert [list(read_dataset(files_of(part).data)) for part in again] == expected


def test_a_photo_that_comes_into_a_folder_between_two_parts_is_told(tmp_path):
    folder = tmp_path / "trip"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (43, 28, 2.8), 3: "E", 4: (11, 53, 6.4)}
    for number in range(4):
        Image.new("RGB", (20, 20), (60 * number, 0, 0)).save(folder / f"{number}.jpg", exif=exif)
    same = {"source": str(folder), "recipe": RECIPE, "store": tmp_path / "store"}
    shares = cut(part_rows=2, annotators=2, **same)
    first, second = shares.of(0) + shares.of(1)
    source_part(shares=shares, part=first, **same)
    (folder / "00.jpg").write_bytes((folder / "0.jpg").read_bytes())
    with pytest.raises(InputError, match=r"trip: changed since .* \(photos: 4 names \w+ before, 5 names \w+ now\)"):
        source_part(shares=shares, part=second, **same)


def test_a_part_that_loses_more_than_the_whole_may_stops_before_anybody_is_asked(table, tmp_path):
    shares = cut(source=str(table), recipe=RECIPE, part_rows=15, annotators=1, store=tmp_path)
    first, second = shares.of(0)
    strict = SourceRecipe(max_unusable_percent=8)
    source_part(source=str(table), recipe=strict, shares=shares, part=first, store=tmp_path / "store")  # 2 of all 30
    with pytest.raises(InputError, match=r"photos\.csv: 4 of 30 rows \(13\.3%\) cannot be used"):
        source_part(source=str(table), recipe=strict, shares=shares, part=second, store=tmp_path / "store")


def test_a_parts_record_says_what_it_is_a_part_of(table, tmp_path):
    told = parts_of(table, tmp_path / "store")[1].outcome.figures
    assert (told["part"], told["part_rows"], told["rows"], told["name"]) == (1, 11, 30, "photos.csv")
    assert json.loads(json.dumps(told)) == told
    assert Shares(told["source"], told["rows"], told["part_rows"], 1, told["listing"]).parts == 3
