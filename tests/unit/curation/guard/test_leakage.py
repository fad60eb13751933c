import dataclasses
import random

import pytest
from geopy.distance import geodesic

from globe.curation.guard.facts import SCHEMA, Facts, to_table
from globe.curation.guard.leakage import Guard, Leak
from globe.curation.recipe import CurationRecipe

WHERE = {"lat_deg": 10.0, "lon_deg": 20.0}


def facts(row_id, **changes):
    rng = random.Random(row_id)
    known = {
        "sha256": rng.randbytes(32),
        "lat_deg": rng.uniform(-90, 90),
        "lon_deg": rng.uniform(-180, 180),
        "country": "",
        "city": "",
        "split": "train",
        "phash": rng.getrandbits(64),
    }
    return Facts(id=row_id, **(known | changes))


def guard(rules, **test_sets):
    return Guard(CurationRecipe(**rules), {name: to_table(pictures) for name, pictures in test_sets.items()})


def leak(rules, picture, *tests):
    return guard(rules, tests=[facts("other"), *tests]).leaks([facts("harmless"), picture])[1]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("a", "a"), ("f5/2a/123.jpg", "f5_2a_123"), ("f5_2a_123.JPG", "f5/2a/123.png"), ("ü.jpeg", "ü.webp")],
)
def test_an_id_is_the_same_whether_or_not_it_names_folders_and_a_suffix(mine, theirs):
    other = facts(theirs, sha256=bytes(32))
    assert leak({}, facts(mine), other) == Leak("same_id_as_test", theirs, "tests")
    assert leak({"same_id": False}, facts(mine), other) is None


@pytest.mark.parametrize(("mine", "theirs"), [("a", "A"), ("a.1", "a.2"), ("a/b", "ab"), ("a.jpg.jpg", "a")])
def test_other_ids_are_others(mine, theirs):
    assert leak({}, facts(mine), facts(theirs)) is None


def test_the_same_file_is_found_under_another_id_even_without_a_hash():
    picture = facts("a", phash=None)
    assert leak({}, picture, facts("b", sha256=picture.sha256, phash=None)) == Leak("same_picture_as_test", "b", "tests")


@pytest.mark.parametrize(("bits", "found"), [(None, False), (3, False), (4, True), (16, True)])
def test_a_near_duplicate_is_one_within_the_recipes_bits(bits, found):
    picture = facts("a")
    other = facts("b", phash=picture.phash ^ 0b1111)
    expected = Leak("near_duplicate_of_test", "b", "tests") if found else None
    assert leak({"near_duplicate_bits": bits}, picture, other) == expected


def test_pictures_without_a_hash_are_no_near_duplicates_of_each_other():
    blank = [facts(name, phash=None) for name in "abc"]
    assert leak({"near_duplicate_bits": 16}, *blank) is None
    assert guard({"near_duplicate_bits": 4}, tests=blank).leaks([facts("d"), facts("e", phash=None)]) == [None, None]


@pytest.mark.parametrize(
    ("km", "mine", "theirs", "found"),
    [
        (None, "x", "x", False),
        (1, "x", "x", True),
        (1, "x", "y", False),
        (1, "", "", False),
        (0.1, "x", "x", False),
        (20_100, "x", "x", True),
    ],
)
def test_a_photographer_counts_within_the_recipes_distance(km, mine, theirs, found):
    here = facts("a", photographer=mine, **WHERE)
    there = facts("b", photographer=theirs, lat_deg=10.005, lon_deg=20.0)  # 0.55 km
    expected = Leak("same_photographer_as_test", "b", "tests") if found else None
    assert leak({"same_photographer_km": km}, here, there) == expected


def test_a_photographers_picture_anywhere_on_earth_may_be_made_to_count():
    here, antipode = facts("a", photographer="x", **WHERE), facts("b", photographer="x", lat_deg=-10.0, lon_deg=-160.0)
    assert leak({"same_photographer_km": 20_100}, here, antipode) == Leak("same_photographer_as_test", "b", "tests")


@pytest.mark.parametrize(
    ("here", "there"),
    [((0, 179.9996), (0, -179.9996)), ((89.9999, 0), (89.9999, 180)), ((-45, 0.00001), (-45, -0.00001)), ((51.5, 0), (51.5, 0))],
)
def test_neighbours_are_near_across_the_date_line_a_pole_and_any_grid(here, there):
    mine, theirs = (facts(name, lat_deg=at[0], lon_deg=at[1]) for name, at in (("a", here), ("b", there)))
    assert leak({"near_test_km": 0.1}, mine, theirs) == Leak("near_test_position", "b", "tests")
    assert leak({}, mine, theirs) is None


@pytest.mark.parametrize("lat_deg", [0.0, 45.0, 80.0])
def test_the_distance_is_that_on_the_ellipsoid_to_the_metre(lat_deg):
    """A degree to the north is 110.6 km long at the equator and 111.7 km at the poles, and on a sphere 111.2 km everywhere."""
    here = facts("a", lat_deg=lat_deg, lon_deg=0.0)
    there = facts("b", lat_deg=lat_deg + 0.09, lon_deg=0.0)
    km = geodesic((lat_deg, 0.0), (lat_deg + 0.09, 0.0)).km
    assert leak({"near_test_km": km + 0.001}, here, there) == Leak("near_test_position", "b", "tests")
    assert leak({"near_test_km": km - 0.001}, here, there) is None


def test_where_the_nearest_on_a_sphere_is_too_far_another_one_may_be_near_enough():
    here = facts("a", lat_deg=0.0, lon_deg=0.0)
    east, north = facts("east", lat_deg=0.0, lon_deg=0.09), facts("north", lat_deg=0.0902, lon_deg=0.0)
    east_km, north_km = (geodesic((0, 0), (one.lat_deg, one.lon_deg)).km for one in (east, north))
    assert north_km < east_km  # although on a sphere it is the other way round
    assert leak({"near_test_km": (north_km + east_km) / 2}, here, east, north) == Leak("near_test_position", "north", "tests")


def test_the_first_rule_and_the_first_test_set_that_has_something_are_named():
    picture = facts("a", photographer="x")
    twin = dataclasses.replace(picture, id="twin")
    rules = {"near_duplicate_bits": 4, "same_photographer_km": 5, "near_test_km": 5}
    assert guard(rules, first=[twin], second=[picture]).leaks([picture]) == [Leak("same_id_as_test", "a", "second")]
    both = guard(rules, first=[facts("b"), twin], second=[dataclasses.replace(twin, id="other")])
    assert both.leaks([picture]) == [Leak("same_picture_as_test", "twin", "first")]
    changed = dataclasses.replace(picture, id="c", sha256=bytes(32))
    assert both.leaks([changed]) == [Leak("near_duplicate_of_test", "twin", "first")]


def test_without_test_pictures_nothing_is_given_away():
    rules = {"near_duplicate_bits": 4, "same_photographer_km": 5, "near_test_km": 5}
    assert Guard(CurationRecipe(**rules), {"none": SCHEMA.empty_table()}).leaks([facts("a")]) == [None]
    assert Guard(CurationRecipe(**rules), {}).leaks([facts("a")]) == [None]
    assert guard(rules, tests=[facts("b")]).leaks([]) == []


def crowd(seed, count):
    """Pictures of few places, photographers and looks, so that many are like others."""
    rng = random.Random(seed)
    looks = [random.Random(number).getrandbits(64) for number in range(40)]
    pictures = []
    for _ in range(count):
        phash = rng.choice(looks) ^ sum(1 << rng.randrange(64) for _ in range(rng.randrange(6)))
        lat, lon = rng.choice([(0.0, 179.99), (48.2, 16.4), (-89.95, 3.0), (rng.uniform(-80, 80), rng.uniform(-180, 180))])
        lon = (lon + rng.gauss(0, 0.02) + 180) % 360 - 180
        sha256 = bytes([rng.randrange(250)] * 32) if rng.random() < 0.1 else rng.randbytes(32)
        pictures.append(
            facts(
                f"{seed}/{rng.randrange(10**4)}.jpg" if rng.random() < 0.9 else f"{rng.randrange(40)}",
                sha256=sha256,
                phash=phash & (2**64 - 1) if rng.random() < 0.5 else rng.choice([None, rng.getrandbits(64)]),
                photographer=rng.choice(["", "a", "b", f"u{rng.randrange(300)}"]),
                lat_deg=lat + rng.gauss(0, 0.02),
                lon_deg=lon,
            )
        )
    return pictures


def plainly(rules, picture, tests):
    """The reasons and test ids that there are, by comparing with every test picture in the plainest way."""

    def km(one):
        return geodesic((picture.lat_deg, picture.lon_deg), (one.lat_deg, one.lon_deg)).km

    def look(one):
        return 64 if None in (one.phash, picture.phash) else (one.phash ^ picture.phash).bit_count()

    return {
        "same_id_as_test": [one.id for one in tests if one.id == picture.id],
        "same_picture_as_test": [one.id for one in tests if one.sha256 == picture.sha256],
        "near_duplicate_of_test": [one.id for one in tests if look(one) <= rules["near_duplicate_bits"]],
        "same_photographer_as_test": [
            one.id
            for one in tests
            if picture.photographer and one.photographer == picture.photographer and km(one) <= rules["same_photographer_km"]
        ],
        "near_test_position": [one.id for one in tests if km(one) <= rules["near_test_km"]],
    }


def test_a_crowd_is_judged_as_by_comparing_everything_with_everything():
    rules = {"near_duplicate_bits": 4, "same_photographer_km": 3.0, "near_test_km": 0.4}
    tests, pictures = crowd("tests", 120), crowd("train", 250)
    found = guard(rules, tests=tests).leaks(pictures)
    reasons = set()
    for picture, got in zip(pictures, found, strict=True):
        expected = {reason: ids for reason, ids in plainly(rules, picture, tests).items() if ids}
        if got is None:
            assert not expected
        else:
            assert got.reason == next(iter(expected))
            assert got.test_id in expected[got.reason]
            reasons.add(got.reason)
    assert len(reasons) == 5
    assert None in found
    one_by_one = guard(rules, tests=tests)
    assert [one_by_one.leaks([picture])[0] for picture in pictures] == found
