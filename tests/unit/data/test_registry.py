"""The data sets that are known by name."""

import pytest

from globe.data import registry
from globe.data.registry import data_sets, find_data_set
from globe.errors import InputError


def test_every_file_is_valid_and_no_name_is_taken_twice():
    scored = {"mp16-reason-test", "im2gps3k", "im2gps", "yfcc4k", "osv5m-test", "osv5m-mini-3k", "gws15k"}
    assert set(data_sets()) == scored | {"mp16-pro", "mp16-reason-train"}
    names = [name for one in data_sets().values() for name in (one.name, *one.aliases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "found", "rows"),
    [
        ("mp16-reason-test-12k", "mp16-reason-test", 12_000),
        ("img2gps3k", "im2gps3k", 2_997),
        ("IM2GPS3K", "im2gps3k", 2_997),
        ("osv-test-mini-3k", "osv5m-mini-3k", 3_000),
    ],
)
def test_the_originals_names_are_aliases(name, found, rows):
    one = find_data_set(name)
    assert one is not None
    assert (one.name, one.rows) == (found, rows)


def test_another_name_is_none():
    assert find_data_set("im2gps3") is None
    assert find_data_set("") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tables: [../x.csv]", "not a path within"),
        ("columns: {place: X}", "place is no field"),
        ("rows: 0", "rows"),
        ("extra: 1", "extra"),
        ("pictures_also_in: [mp17]", "pictures_also_in: there is no other data set mp17"),
        ("pictures_also_in: [im2gps3k]", "there is no other data set im2gps3k"),
    ],
)
def test_a_file_with_a_mistake_is_named_with_its_field(tmp_path, monkeypatch, change, message):
    field = change.partition(":")[0]
    lines = (registry.SETS_FOLDER / "im2gps3k.yaml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{field}:")]
    (tmp_path / "im2gps3k.yaml").write_text("\n".join([change, *kept]))
    monkeypatch.setattr(registry, "SETS_FOLDER", tmp_path)
    data_sets.cache_clear()
    with pytest.raises(InputError, match=message):
        data_sets()
    monkeypatch.undo()
    data_sets.cache_clear()
