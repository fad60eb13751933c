"""What is rendered is read back, whatever marks and scripts the names hold."""

from hypothesis import example, given
from hypothesis import strategies as st

from globe.answer.grammar import clean
from globe.answer.parse import parse
from globe.answer.render import render

NAMES = st.text(st.characters(categories=["L", "M", "N"], include_characters=" -'’.,()"), min_size=1, max_size=40)


@given(st.text(min_size=1), NAMES, NAMES)
@example("a", "Bosnia and Herzegovina", "Sarajevo")
@example("a", "x", "city: y")
def test_what_is_rendered_is_read_back(reasoning: str, country: str, city: str) -> None:
    try:
        text = render(reasoning, country, city)
    except ValueError:
        return  # nothing left to say, such as a reasoning of blank space
    answer = parse(text)
    again = render(answer.reasoning or "", answer.country or "", answer.city or "")
    assert again == text
    if clean(city) == city and city:
        assert answer.city == city or ":" in city
    assert not answer.ambiguous


MARKS = [
    *(
        "<answer>",
        "country: ",
        "city:",
        "land: ",
        "name",
        "\n",
        "**",
        "Paris",
        ", ",
        "- ",
        "：",
        "_",
        "(",
        ")",
        "{",
        "[",
        "<b>",
        "<city>",
    ),
    *("](http://x)", "<", "</an", "<|im_end|>", "'", '"', "«", "~~", "\u200b", "\u2028", "/", " ", "a", "9", "東京", "\ud800"),
]
MARKUP = st.lists(st.sampled_from(MARKS), max_size=8).map("".join)


@given(MARKUP, MARKUP, MARKUP)
@example("a", "District 9", "(Oder) 2")
@example("a", "[a](http://x)", "<b>b</b></answ")
@example("a", "x (", "- y >")
def test_values_full_of_marks_are_read_back_as_they_were_rendered(reasoning: str, country: str, city: str) -> None:
    try:
        text = render(reasoning, country, city)
    except ValueError:
        return
    answer = parse(text)
    assert not answer.ambiguous
    assert render(answer.reasoning or "", answer.country or "", answer.city or "") == text


@given(
    st.sampled_from(["München", "São Paulo", "Xi'an", "'s-Hertogenbosch", "東京", "Санкт-Петербург", "St. John's"]),
    st.text(max_size=200),
)
def test_names_of_the_world_survive_the_round_trip(city: str, reasoning: str) -> None:
    text = render(f"I see {reasoning}", "Somewhere", city)
    answer = parse(text)
    assert (answer.country, answer.city, answer.complete) == ("Somewhere", city, True)
