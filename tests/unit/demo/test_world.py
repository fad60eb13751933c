"""The written world: balanced, reproducible, and consistent with its truth."""

import hashlib
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from globe.data.shards import read_dataset
from globe.demo.places import HAZES
from globe.demo.truth import ErrorRates, load_truth, load_world, pixel_hash
from globe.demo.world import write_world
from globe.errors import InputError


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_world(tmp_path / folder, pictures=60, seed=3)
    write_world(tmp_path / "c", pictures=60, seed=4)
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")
    assert _digests(tmp_path / "a") != _digests(tmp_path / "c")


def test_writing_again_replaces_an_earlier_world(tmp_path: Path) -> None:
    write_world(tmp_path, pictures=80, seed=1)
    write_world(tmp_path, pictures=50, seed=2)
    assert {row.id for row in read_dataset(tmp_path)} == set(load_truth(tmp_path))
    assert len(load_truth(tmp_path)) == 50


def test_rows_hold_the_truth_and_world_json_knows_each_of_them(small_world: Path) -> None:
    truth = load_truth(small_world)
    rows = list(read_dataset(small_world))
    assert [row.id for row in rows] == list(truth)
    for row in rows:
        known = truth[row.id]
        assert (row.country, row.city, row.lat_deg, row.lon_deg) == (
            known.country,
            known.city,
            known.lat_deg,
            known.lon_deg,
        )
        assert (row.localizable, row.reasoning, row.entities) == (None, "", [])  # nobody has looked yet
        with Image.open(BytesIO(row.image)) as picture:
            assert pixel_hash(picture.convert("RGB")) == known.pixels


def test_pictures_differ_from_each_other(small_world: Path) -> None:
    assert len({known.pixels for known in load_truth(small_world).values()}) == 168


def test_cities_are_balanced_and_both_splits_hold_unlocatable_pictures(tmp_path: Path) -> None:
    summary = write_world(tmp_path, pictures=420, test_share=0.2, unlocatable_share=0.1, seed=5)
    assert (summary["train"], summary["test"], summary["unlocatable"]) == (336, 84, 42)
    truth = load_truth(tmp_path)
    split = {row.id: row.split for row in read_dataset(tmp_path)}
    for part, least, most in (("train", 7, 8), ("test", 1, 2)):
        counts = Counter(t.city for key, t in truth.items() if split[key] == part and t.localizable)
        assert len(counts) == 42
        assert set(counts.values()) <= {least, most}
    hazes = Counter(t.cues[0] for key, t in truth.items() if split[key] == "test" and not t.localizable)
    assert set(hazes) == set(HAZES)


def test_scenes_at_dusk_are_spread_over_cities_and_splits(tmp_path: Path) -> None:
    summary = write_world(tmp_path, pictures=420, test_share=0.2, unlocatable_share=0.1, dusk_share=0.4, seed=5)
    truth = load_truth(tmp_path)
    assert load_world(tmp_path).dusk_share == 0.4
    assert summary["dusk"] == sum(t.dusk for t in truth.values())
    assert summary["dusk"] / 378 == pytest.approx(0.4, abs=0.02)
    assert not any(t.dusk for t in truth.values() if not t.localizable)
    split = {row.id: row.split for row in read_dataset(tmp_path)}
    held_out = [t.dusk for key, t in truth.items() if t.localizable and split[key] == "test"]
    assert sum(held_out) / len(held_out) == pytest.approx(0.4, abs=0.05)
    by_city = Counter(t.city for t in truth.values() if t.dusk)
    assert set(by_city.values()) <= {3, 4}
    assert len(by_city) == 42


def test_a_world_without_dusk_can_be_asked_for(tmp_path: Path) -> None:
    assert write_world(tmp_path, pictures=60, dusk_share=0)["dusk"] == 0


def test_error_rates_travel_in_world_json(tmp_path: Path) -> None:
    write_world(tmp_path, pictures=5, rates=ErrorRates(invented_cue=0.5))
    assert load_world(tmp_path).rates.invented_cue == 0.5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"pictures": 0}, "pictures"),
        ({"test_share": 1.5}, "test_share"),
        ({"dusk_share": -0.1}, "dusk_share"),
        ({"size_px": 8}, "size_px"),
    ],
)
def test_numbers_that_make_no_world_are_refused_by_name(tmp_path: Path, arguments: dict[str, int], named: str) -> None:
    with pytest.raises(InputError, match=named):
        write_world(tmp_path, **arguments)


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
