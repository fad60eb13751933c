from collections import Counter
from pathlib import Path

import pytest

from globe.curation.guard.facts import facts_of
from globe.curation.merge import About, check_lost, check_sum, interleaved
from globe.curation.parts import PartFiles, Refused, read_part
from globe.data.named import given_path
from globe.data.parts import Part
from globe.data.registry import DataSet
from globe.data.shards import read_dataset
from globe.demo.world import write_world
from globe.errors import GlobeError, InputError


def test_a_row_that_is_unaccounted_for_is_an_error():
    result = {"in": 10, "kept": 4, "dropped": {"wrong_place": 3}, "quarantined": {"no_position": 3}}
    check_sum(result)
    with pytest.raises(GlobeError, match="10 rows came in, but 9 are accounted for"):
        check_sum(result | {"kept": 3})
    with pytest.raises(GlobeError, match="11 are accounted for"):
        check_sum(result | {"dropped": {"wrong_place": 4}})


def test_refused_rows_come_where_the_source_has_them():
    refused = [Refused("a", "r", 0), Refused("b", "r", 0), Refused("e", "r", 2), Refused("g", "r", 3)]
    told = interleaved(["c", "d", "f"], refused)
    assert "".join(one.id if isinstance(one, Refused) else one for one in told) == "abcdefg"
    assert list(interleaved([], [])) == []


@pytest.fixture
def part(tmp_path):
    """A part of which 2 of 5 rows are lost."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "t.csv").write_text("image,lat,lon\n" + "".join(f"gone{n}.png,41.9,12.5\n" for n in range(2)) + rows(tmp_path))
    files = PartFiles(tmp_path / "part" / "data", tmp_path / "part", tmp_path / "part")
    read_part(given_path(tmp_path / "t.csv"), Part(0, 5), files, 1536, lambda done: None)
    return files


def rows(folder: Path) -> str:
    from PIL import Image

    for number in range(3):
        Image.new("RGB", (20, 20), (80 * number, 0, 0)).save(folder / f"{number}.png")
    return "".join(f"{number}.png,41.9,12.5\n" for number in range(3))


def test_too_many_lost_rows_stop_a_curation_as_soon_as_no_later_part_can_make_up_for_them(part, tmp_path):
    about = About("t.csv", checked=True, max_unusable_percent=20.0)
    check_lost(about, part.lost(), rows=10, out=tmp_path)
    with pytest.raises(InputError, match=r"t\.csv: 2 of 9 rows \(22\.2%\) cannot be used: 2 file_missing \(first: gone0\.png\)"):
        check_lost(about, part.lost(), rows=9, out=tmp_path)


def test_what_a_known_data_set_lacks_is_counted_too():
    known = DataSet.model_construct(name="set", rows=12, source="https://example.org", licence="ours", columns={})
    record = About("set", data_set=known).completeness(10, {})
    assert (record.rows_expected, record.usable, record.licence) == (12, 10, "ours")
    assert {reason: one.n for reason, one in record.unusable.items()} == {"row_not_in_table": 2}


def test_the_facts_of_a_part_are_those_of_its_rows_in_their_order(tmp_path):
    write_world(tmp_path / "world", pictures=6)
    files = PartFiles(tmp_path / "world", tmp_path / "part", tmp_path / "part")
    read_part(given_path(tmp_path / "world"), Part(0, 10), files, 1536, lambda done: None)
    assert list(files.facts()) == [facts_of(row) for row in read_dataset(tmp_path / "world")]
    assert files.listed() == 6
    assert Counter(files.refused()) == Counter()
