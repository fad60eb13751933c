"""From a text to a place: an answer is looked up, what is ambiguous is refused, and the status says what came of it."""

import pytest

from globe.answer.locate import locate, locate_names, refuse
from globe.answer.parse import parse

TWO = "<think>x</think><answer>country: France\ncity: Paris</answer><answer>country: Peru\ncity: Lima</answer>"


def said(country: str, city: str) -> str:
    return f"<think>red roofs</think><answer>country: {country}\ncity: {city}</answer>"


def test_a_complete_answer_is_a_place_with_a_position() -> None:
    found = locate(said("France", "Paris"))
    assert (found.status, found.country, found.city, found.answer.reasoning) == ("ok", "France", "Paris", "red roofs")
    assert found.place.geonames_id == 2988507


def test_a_country_alone_and_a_city_that_is_not_found_lie_at_the_countrys_centre() -> None:
    for city in ("", "Nowhereville"):
        found = locate(said("France", city))
        assert (found.status, found.place.match, found.place.country_code) == ("ok", "country", "FR")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", "no_answer"),
        (" \n", "no_answer"),
        ("I do not know", "not_parsed"),
        ("<think>Paris, France?</think>", "not_parsed"),
        ("<answer>city: Paris</answer>", "not_parsed"),
        (TWO, "not_parsed"),
        (said("France", "Paris; Lyon"), "not_parsed"),
        (said("France", "Paris or Lyon"), "not_parsed"),
        (said("France", "Paris, Lyon, Nice, Lille, Metz"), "not_parsed"),
        (said("Atlantis", "Nowhere"), "not_geocoded"),
    ],
)
def test_what_is_no_one_place_has_no_position_and_says_why(text: str, status: str) -> None:
    found = locate(text)
    assert (found.status, found.place.found) == (status, False)
    assert (found.country, found.city) == (("Atlantis", "Nowhere") if status == "not_geocoded" else ("", ""))


def test_of_a_text_that_was_cut_off_only_a_closed_answer_counts() -> None:
    half = "<think>a</think><answer>country: Germany\ncity: Berl"
    assert (locate(half).status, locate(half, cut_off=True).status) == ("ok", "cut_off")
    assert locate(said("France", "Paris") + " and", cut_off=True).status == "ok"
    assert locate("", cut_off=True).status == "cut_off"


def test_a_region_decides_among_homonyms() -> None:
    text = "<think>a</think><answer>country: USA\nstate: Texas\ncity: Paris</answer>"
    assert locate(text).place.admin1 == "TX"
    assert locate_names("USA", "Paris", "Texas").place == locate(text).place


def test_names_are_looked_up_like_the_same_names_in_a_text() -> None:
    for country, city in (
        ("France", "Paris"),
        ("Hong Kong", ""),
        ("Atlantis", "x"),
        ("France", "Paris; Lyon"),
        ("Texas", "Austin"),
    ):
        assert locate_names(country, city)[:4] == locate(said(country, city))[:4]
    assert locate_names("", "").status == "no_answer"
    assert locate_names("", "Paris").place.country_code == "FR"


def test_a_refusal_gives_its_reason() -> None:
    assert refuse(parse(said("France", "Paris"))) == ""
    assert refuse(parse("")) == "no answer"
    assert refuse(parse("<answer>city: Paris</answer>")) == "no country in the answer"
    assert refuse(parse(TWO)) == "several answers"
    assert refuse(parse(said("France", "Paris; Lyon"))) == "several cities in one answer"
