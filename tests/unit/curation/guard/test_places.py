"""A place is one place under all its names, wherever in it a picture was taken: else what is tested as unseen has been seen."""

import math
import random

import pytest

from globe.curation.guard.facts import Facts
from globe.curation.guard.places import place_of
from globe.geo.gazetteer import gazetteer

TERRITORIES = [("Denmark", "Greenland"), ("Denmark", "Faroe Islands"), ("France", "French Polynesia"), ("US", "Guam")]


def placed(country, city, lat_deg=41.9, lon_deg=12.5):
    return place_of(Facts("p", bytes(32), lat_deg, lon_deg, country, city, "train"))


def key(country, city, *position_deg):
    return placed(country, city, *position_deg)[0]


def around(place):
    """Positions in the centre of a place and up to 20 km from it."""
    for km in (0, 3, 6, 10, 15, 20):
        for bearing in range(0, 360, 60):
            north, east = km * math.cos(math.radians(bearing)), km * math.sin(math.radians(bearing))
            yield place.lat_deg + north / 111.2, place.lon_deg + east / 111.2 / math.cos(math.radians(place.lat_deg))


def test_all_spellings_of_a_city_are_one_place():
    assert key("Germany", "München") == key("DE", "Munich") == key("Deutschland", "Muenchen") == key("Germany", "Munich, Germany")
    assert key("Nowhere", "São  Tal") == key("nowhere", "Sao Tal")
    assert key("USA", "Nobodysville") == key("United States of America", "nobodysville") == key("US", "NOBODYSVILLE")
    cities = ("Italy", "Rome"), ("France", "Paris"), ("Italy", "Paris"), ("Nowhere", "Atlantis"), ("Peru", "Cusco")
    assert len({key(*city) for city in cities}) == len(cities)


def test_of_cities_of_one_name_it_is_the_one_where_the_picture_was_taken():
    st_louis, illinois, missouri = (38.63, -90.2), (39.8, -89.64), (37.21, -93.3)
    assert key("USA", "St. Louis", *st_louis) == key("United States", "Saint Louis", *st_louis)
    assert key("USA", "Springfield", *illinois) == key("USA", "Springfield, IL", *illinois)
    assert key("USA", "Springfield", *illinois) != key("USA", "Springfield", *missouri)


def test_london_is_one_place_though_the_city_of_london_within_it_has_its_name_too():
    westminster, bank = (51.5, -0.13), (51.513, -0.09)
    london = placed("United Kingdom", "London", *westminster)
    assert london == placed("England", "London", *bank) == placed("United Kingdom", "City of London", *bank)
    assert london[1] > 8_000_000


def test_no_large_city_is_two_places():
    large = [place for place in gazetteer() if place.population >= 1_000_000]
    assert len(large) > 500
    for place in large:
        country = gazetteer().countries[place.country_code]["name"]
        found = {placed(country, place.name, *position) for position in around(place)}
        assert len(found) == 1, place
        assert found.pop()[1] >= place.population


def test_namesakes_far_apart_are_two_places():
    pairs = [places for places in gazetteer().namesakes() if len(places) == 2 and all(place.own for place in places)]
    far = [pair for pair in pairs if abs(pair[0].lat_deg - pair[1].lat_deg) > 4]
    assert len(far) > 300
    for pair in random.Random(0).sample(far, 300):
        one, other = (key(place.country_code, place.name, place.lat_deg, place.lon_deg) for place in pair)
        assert one != other, pair


@pytest.mark.parametrize(("state", "territory"), TERRITORIES)
def test_a_territory_that_is_named_as_a_city_is_the_same_place_under_its_own_and_its_states_name(state, territory):
    assert key(state, territory) == key(territory, territory)


def test_territories_that_are_named_as_cities_are_not_one_place():
    assert len({key(*city) for city in TERRITORIES}) == len(TERRITORIES)
