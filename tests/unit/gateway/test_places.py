"""Areas: a country or a region with a centre that depends on no city, and no region that is only a city."""

import pytest

from globe.gateway.places import area_of, region_of
from globe.geo.distance import distance_km
from globe.geo.gazetteer import gazetteer
from globe.geo.match import NO_MATCH
from globe.geo.places import find_place


@pytest.mark.parametrize(
    ("city", "country", "region"),
    [
        ("Munich", "Germany", "Bavaria"), ("Nuremberg", "Germany", "Bavaria"), ("Chicago", "United States", "Illinois"),
        ("Edinburgh", "United Kingdom", "Scotland"), ("Lyon", "France", "Auvergne-Rhône-Alpes"),
        ("Sydney", "Australia", "New South Wales"),
    ],
)  # fmt: skip
def test_a_region_has_its_name(city, country, region):
    place = find_place(city, country)
    area = area_of(place, region=True)
    assert (area.country, area.region, area.is_region, region_of(place)) == (country, region, True, region)


def test_places_of_one_region_are_told_by_one_position():
    munich, nuremberg = (area_of(find_place(city, "Germany"), region=True) for city in ("Munich", "Nuremberg"))
    assert munich == nuremberg
    assert munich != area_of(find_place("Stuttgart", "Germany"), region=True)


@pytest.mark.parametrize(
    ("city", "country"),
    [("Berlin", "Germany"), ("Vienna", "Austria"), ("Ljubljana", "Slovenia"), ("Tokyo", "Japan"), ("Nairobi", "Kenya")],
)
def test_a_region_that_is_little_more_than_a_city_is_told_as_its_country(city, country):
    place = find_place(city, country)
    assert area_of(place, region=True) == area_of(place, region=False)


def test_a_region_whose_name_nobody_knows_is_told_by_its_centre():
    area = area_of(find_place("Mombasa", "Kenya"), region=True)
    named = area_of(find_place("Eldoret", "Kenya"), region=True)
    assert {area.country, named.country} == {"Kenya"}
    assert {area.region, named.region} == {""}


def test_an_area_reaches_to_each_of_its_places():
    for city, country, region in (("Munich", "Germany", True), ("Suva", "Fiji", False), ("Anchorage", "United States", False)):
        place = find_place(city, country)
        area = area_of(place, region=region)
        inside = [p for p in gazetteer() if p.country_code == place.country_code and (not region or p.admin1 == place.admin1)]
        far = max(distance_km(area.lat_deg, area.lon_deg, p.lat_deg, p.lon_deg) for p in inside)
        assert far <= area.reach_km <= far * 1.02


def test_a_country_alone_has_no_region_and_nothing_has_no_area():
    assert area_of(find_place("", "France"), region=True) == area_of(find_place("Nice", "France"), region=False)
    assert area_of(NO_MATCH, region=True) is None
    assert region_of(find_place("", "France")) == ""
