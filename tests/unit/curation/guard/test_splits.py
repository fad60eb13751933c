import hashlib
import random
from itertools import product

import pytest
from traced import traced_peak_bytes

from globe.curation.guard.facts import BATCH_ROWS, Facts, facts_of
from globe.curation.guard.splits import HELD_OUT, Decision, Splitter
from globe.curation.recipe import CurationRecipe
from globe.data.shards import read_dataset
from globe.demo.world import write_world
from globe.errors import InputError

CITIES = [
    ("Italy", "Rome"),
    ("France", "Paris"),
    ("Japan", "Kyoto"),
    ("Nowhere", "Atlantis"),
    ("Peru", "Cusco"),
    ("Kenya", "Nairobi"),
]


def picture(row_id, country="Italy", city="Rome", **changes):
    rng = random.Random(row_id)
    known = {"sha256": rng.randbytes(32), "lat_deg": 41.9, "lon_deg": 12.5, "split": "train", "phash": rng.getrandbits(64)}
    return Facts(id=row_id, country=country, city=city, **(known | changes))


def of_many_cities(count, cities=400):
    rng = random.Random(count)
    named = [("Italy", f"Hamlet {number}") for number in range(cities)]
    return [picture(f"p{number}", *rng.choice(named)) for number in range(count)]


def decided(pictures, own_split=False, test_sets=None, **rules):
    splitter = Splitter(CurationRecipe(**rules), own_split, test_sets)
    for one in pictures:
        splitter.learn(one)
    return dict(zip([one.id for one in pictures], splitter.decisions(pictures), strict=True)), splitter.report()


def held_out(decisions):
    return {row_id for row_id, decision in decisions.items() if decision.split == "test"}


def lowest_hashes(ids, seed):
    """Independent of the code: ids by the hash that decides, lowest first."""
    return sorted(ids, key=lambda row_id: hashlib.sha256(f"{seed}:{row_id}".encode()).digest()[:8])


def share_held_out(pictures, decisions):
    """Share of the test set whose city nothing is trained on of; and the cities."""
    trained = {(one.country, one.city) for one in pictures if decisions[one.id] == Decision("train")}
    tests = [(one.country, one.city) for one in pictures if decisions[one.id].split == "test"]
    return sum(place not in trained for place in tests) / len(tests), {place for place in tests if place not in trained}


def test_holding_out_goes_by_the_id_alone():
    pictures = [picture(f"p{number}") for number in range(2000)]
    chosen = held_out(decided(pictures, test_share=0.15)[0])
    assert 0.12 < len(chosen) / len(pictures) < 0.18
    assert chosen == set(lowest_hashes([one.id for one in pictures], 0)[: len(chosen)])
    assert held_out(decided(pictures[:500], test_share=0.15)[0]) == chosen & {one.id for one in pictures[:500]}
    assert held_out(decided(pictures[::-1], test_share=0.15)[0]) == chosen
    assert held_out(decided(pictures, test_share=0.15, seed=1)[0]) != chosen


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(2, 0.001, 1), (2, 0.999, 1), (40, 1e-9, 1), (40, 0.999999, 39), (1, 0.5, None)]
)
def test_neither_split_is_left_empty_by_chance(count, share, expected):
    ids = [f"p{number}" for number in range(count)]
    chosen = held_out(decided([picture(row_id) for row_id in ids], test_share=share)[0])
    if expected is not None:
        assert chosen == set(lowest_hashes(ids, 0)[:expected])


def test_nothing_is_held_out_where_nothing_shall_be():
    pictures = [picture(f"p{number}") for number in range(50)]
    for rules in ({"test_share": 0.0}, {"test_share": 0.0, "unseen_place_share": 0.5}):
        decisions, report = decided(pictures, **rules)
        assert set(decisions.values()) == {Decision("train")}
        assert report["test_sets"] == {HELD_OUT: 0}
    assert decided([], test_share=0.5) == ({}, {"test_sets": {HELD_OUT: 0}, "left_out": {}})


@pytest.mark.parametrize("limit", [1, 30, 10_000])
def test_of_a_limited_test_set_those_with_the_lowest_hashes_are_held_out_and_the_others_trained_on(limit):
    pictures = [picture(f"p{number}") for number in range(3 * BATCH_ROWS)]
    everyone = held_out(decided(pictures, test_share=0.5)[0])
    decisions, report = decided(pictures, test_share=0.5, max_test_rows=limit)
    assert held_out(decisions) == set(lowest_hashes(everyone, 0)[:limit])
    assert {decision.reason for decision in decisions.values()} == {""}
    assert report["test_sets"] == {HELD_OUT: limit}


def test_a_limit_below_what_all_are_held_out_of_needs_no_picture_to_change_sides():
    pictures = [picture(f"p{number}") for number in range(10)]
    assert len(held_out(decided(pictures, test_share=0.999999, max_test_rows=9)[0])) == 9
    assert len(held_out(decided(pictures, test_share=0.999999, max_test_rows=10)[0])) == 9
    assert len(held_out(decided(pictures, test_share=1e-9, max_test_rows=1)[0])) == 1


@pytest.mark.parametrize(("unseen_share", "limit"), list(product([0.1, 0.4, 1.0], [None, 300])))
def test_cities_are_held_out_as_a_whole_and_none_of_their_pictures_is_trained_on(unseen_share, limit):
    pictures = of_many_cities(20_000)
    decisions, report = decided(pictures, test_share=0.2, unseen_place_share=unseen_share, max_test_rows=limit)
    share, cities = share_held_out(pictures, decisions)
    of_all = {(one.country, one.city) for one in pictures}
    assert abs(share - unseen_share) < (0.05 if limit is None else 0.01)
    size = len(held_out(decisions))
    assert size == limit if limit else abs(size / len(pictures) - 0.2) < 0.03
    left_out = [one for one in pictures if decisions[one.id].reason]
    assert all((one.country, one.city) in cities for one in left_out)
    assert {decisions[one.id] for one in left_out} <= {Decision("train", "place_held_out", test_set=HELD_OUT)}
    assert bool(left_out) == bool(limit)
    assert {(one.country, one.city) for one in pictures if decisions[one.id] == Decision("train")} == of_all - cities
    assert report["unseen_places"] == len(cities)
    assert report["left_out"] == ({HELD_OUT: {"place_held_out": len(left_out)}} if left_out else {})


def test_whether_a_city_is_held_out_does_not_depend_on_which_others_there_are():
    pictures = of_many_cities(5_000)
    rules = {"test_share": 0.3, "unseen_place_share": 0.5}
    whole = decided(pictures, **rules)[0]
    part = decided(pictures[1000:1500], **rules)[0]
    assert part == {one.id: whole[one.id] for one in pictures[1000:1500]}


def test_a_test_set_that_lacks_unseen_places_is_filled_with_others():
    pictures = [picture(f"p{number}", *CITIES[number % 2]) for number in range(3_000)]
    decisions, report = decided(pictures, test_share=0.1, unseen_place_share=0.2, max_test_rows=100)
    assert report["of_unseen_places"] == 0
    assert len(held_out(decisions)) == 100


def test_a_city_is_held_out_under_whatever_name_it_has():
    seeds = [seed for seed in range(60) if _is_held_out("Munich", seed)]
    assert seeds == [seed for seed in range(60) if _is_held_out("München", seed)]
    assert 5 < len(seeds) < 55


def test_a_city_that_has_another_of_its_name_within_it_is_held_out_as_a_whole_or_not_at_all():
    rng = random.Random(0)
    places = [{"lat_deg": 51.5 + rng.uniform(-0.05, 0.05), "lon_deg": -0.12 + rng.uniform(-0.1, 0.1)} for _ in range(40)]
    london = [picture(f"london{number}", "United Kingdom", "London", **place) for number, place in enumerate(places)]
    held = []
    for seed in range(60):
        rules = {"test_share": 0.4, "unseen_place_share": 1.0, "seed": seed}
        decisions, _ = decided([*london, *of_many_cities(100)], **rules)
        held.append({decisions[one.id].split for one in london})
        too_large = decided(london, **rules, unseen_place_max_population=1_000_000)[1]
        assert too_large["unseen_places"] == 0
    assert all(len(splits) == 1 for splits in held)
    assert {"test"} in held
    assert {"train"} in held


def _is_held_out(city, seed):
    """Whether no picture of a city is trained on, by a source that has it in one spelling and another city besides."""
    pictures = [picture(f"p{number}", "Germany", city) for number in range(20)] + [picture("x", "Peru", "Cusco")]
    decisions, _ = decided(pictures, test_share=0.5, unseen_place_share=1.0, seed=seed)
    return all(decisions[one.id] != Decision("train") for one in pictures[:20])


def test_no_test_set_takes_the_place_of_the_pictures_held_out():
    with pytest.raises(InputError, match="'held out' is what reports call the pictures held out"):
        Splitter(CurationRecipe(), False, {HELD_OUT: []})


def test_large_cities_are_never_held_out_as_a_whole_where_the_recipe_says_so():
    rules = {"test_share": 0.5, "unseen_place_share": 1.0, "unseen_place_max_population": 500_000}
    pictures = [picture(f"p{number}", *CITIES[number % len(CITIES)]) for number in range(60)]
    held_out_whole, small = set(), {"Atlantis", "Cusco"}
    for seed in range(20):
        decisions, _ = decided(pictures, seed=seed, **rules)
        held_out_whole |= {one.city for one in pictures} - {one.city for one in pictures if decisions[one.id].split == "train"}
    assert held_out_whole == small


def test_a_picture_whose_city_nobody_knows_is_of_no_unseen_place():
    pictures = [picture(f"p{number}", "Italy", "") for number in range(500)]
    for seed in range(5):
        decisions, report = decided(pictures, test_share=0.5, unseen_place_share=0.9, seed=seed)
        assert report["of_unseen_places"] == 0
        assert Decision("train") in decisions.values()


def test_a_sources_own_split_stays_and_what_would_give_it_away_is_left_out():
    tests = [picture(f"t{number}", split="test") for number in range(3)]
    twin = picture("twin", sha256=tests[1].sha256)
    pictures = [picture("a"), tests[0], twin, tests[1], picture("b"), tests[2]]
    rules = {"unseen_place_share": 1.0, "max_test_rows": 1, "test_share": 0.9}  # of no use for it
    decisions, report = decided(pictures, own_split=True, **rules)
    assert decisions.pop("twin") == Decision("train", "same_picture_as_test", "t1", HELD_OUT)
    assert {row_id: decision.split for row_id, decision in decisions.items()} == {
        one.id: one.split for one in pictures if one != twin
    }
    assert {decision.reason for decision in decisions.values()} == {""}
    assert report == {"test_sets": {HELD_OUT: 3}, "left_out": {HELD_OUT: {"same_picture_as_test": 1}}}


def test_the_toy_world_is_split_as_it_says_and_by_default_nothing_of_it_is_left_out(tmp_path):
    write_world(tmp_path, pictures=300)
    pictures = [facts_of(row) for row in read_dataset(tmp_path)]
    decisions, report = decided(pictures, own_split=True)
    assert decisions == {one.id: Decision(one.split) for one in pictures}
    assert report == {"test_sets": {HELD_OUT: 45}, "left_out": {}}
    strict = decided(pictures, own_split=True, near_duplicate_bits=6)[1]
    assert strict["left_out"][HELD_OUT]["near_duplicate_of_test"] > 30  # its pictures are drawings that are much alike


def test_further_test_sets_keep_pictures_from_training_but_not_from_the_test_set():
    pictures = [picture(f"p{number}") for number in range(400)]
    theirs = [picture(f"im{number}", phash=one.phash ^ 0b101) for number, one in enumerate(pictures)]
    plain = held_out(decided(pictures)[0])
    decisions, report = decided(pictures, near_duplicate_bits=2, test_sets={"im2gps": iter(theirs), "other": iter([])})
    assert held_out(decisions) == plain
    for one, other in zip(pictures, theirs, strict=True):
        if one.id not in plain:
            assert decisions[one.id] == Decision("train", "near_duplicate_of_test", other.id, "im2gps")
    assert report == {
        "test_sets": {HELD_OUT: len(plain), "im2gps": 400, "other": 0},
        "left_out": {"im2gps": {"near_duplicate_of_test": 400 - len(plain)}},
    }


def test_one_picture_is_decided_as_it_is_among_all():
    pictures = of_many_cities(300, cities=30)
    rules = {"test_share": 0.3, "unseen_place_share": 0.5, "max_test_rows": 40, "near_duplicate_bits": 16}
    decisions = decided(pictures, **rules)[0]
    splitter = Splitter(CurationRecipe(**rules), False)
    for one in pictures:
        splitter.learn(one)
    assert {one.id: splitter.decide(one) for one in reversed(pictures)} == decisions


def test_memory_grows_with_the_test_set_and_not_with_the_source():
    def learn(count):
        splitter = Splitter(CurationRecipe(test_share=0.5, max_test_rows=500), False)
        for number in range(count):
            splitter.learn(picture(f"p{number}"))
        splitter.report()

    assert traced_peak_bytes(lambda: learn(8 * BATCH_ROWS)) < 1.1 * traced_peak_bytes(lambda: learn(2 * BATCH_ROWS))
