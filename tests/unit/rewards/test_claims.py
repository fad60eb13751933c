import pytest

from globe.entities.matching import thing_of
from globe.rewards.claims import LIST_CLAIMS, claims_of, is_claimed, picture_of, too_many, unsupported

RED, BLUE = frozenset({"red"}), frozenset({"blue"})


def test_a_picture_is_its_entities_and_their_words():
    picture = picture_of(("Red roofs", "a roof", "cars on the left", "green", "no snow", "Cars on the left"))
    assert picture.things == tuple(map(thing_of, ("red roof", "roof", "cars on the left")))
    assert picture.words == {"roof": [RED, frozenset()], "car": [frozenset()], "left": [frozenset()]}
    assert {thing.words for thing in picture.own} == {("roof",), ("car",), ("left",), ("right",)}


def test_claims_are_the_vocabularys_words_and_the_rows_own():
    reasoning = "Red roofs, a roof and a kasbah on the left; no palms."
    assert claims_of(reasoning, ()) == {"roof": [RED, frozenset()]}
    assert claims_of(reasoning, ("kasbah", "left traffic")) == {
        "roof": [RED, frozenset()],
        "kasbah": [frozenset()],
        "left": [frozenset()],
    }


@pytest.mark.parametrize(
    ("reasoning", "wrong"),
    [
        ("a roof", []),
        ("red roofs", []),
        ("red roofs, blue roofs", ["roof"]),
        ("dark roofs", []),
        ("blue palms", []),
        ("palms, a mosque", ["mosque"]),
    ],
)
def test_a_claim_is_borne_out_by_an_entity_with_the_word_and_no_other_colour(reasoning, wrong):
    entities = ("red roof", "palm")
    assert unsupported(claims_of(reasoning, entities), picture_of(entities)) == wrong


def test_a_thing_is_claimed_by_all_its_words_each_once_without_another_colour():
    claims = {"palm": [frozenset()], "roof": [BLUE]}
    assert is_claimed(thing_of("palm"), claims)
    assert is_claimed(thing_of("roof"), claims)
    assert not is_claimed(thing_of("palm tree"), claims)
    assert not is_claimed(thing_of("red roof"), claims)
    assert is_claimed(thing_of("red roof"), {"roof": [BLUE, RED]})


def test_a_list_of_words_is_told_by_its_length_against_the_pictures():
    picture = picture_of(("red roof", "palm"))
    claims = {str(number): [frozenset[str]()] for number in range(4 + LIST_CLAIMS)}
    assert not too_many(claims, picture)
    assert too_many({**claims, "one more": []}, picture)
