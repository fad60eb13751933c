import pytest

from globe.entities.vocabulary import CLAUSE_WORDS, COLOURS, FUNCTION_WORDS, NOUNS, SHADES, SIDES, VAGUE_WORDS, noun_of


@pytest.mark.parametrize(
    ("word", "noun"),
    [
        *[("buses", "bus"), ("leaves", "leaf"), ("bikes", "bicycle"), ("harbours", "harbor"), ("café", "cafe")],
        *[("façades", "facade"), ("sidewalks", "pavement"), ("rooftops", "roof"), ("mangroves", "mangrove"), ("towers", "tower")],
        *[("eiffel", "eiffel"), ("kasbahs", "kasbah")],
    ],
)
def test_forms_and_spellings_of_a_noun_meet_in_one_word(word, noun):
    assert noun_of(word) == noun


def test_the_word_that_stands_for_others_stands_for_itself():
    assert all(noun_of(noun) == noun for noun in NOUNS.values())


def test_every_form_leads_to_its_noun_and_a_longer_word_does_not():
    assert all(noun_of(form) == noun for form, noun in NOUNS.items())
    assert not any(noun_of(form + "q") in NOUNS.values() for form in NOUNS)


def test_no_visual_word_is_a_colour_a_side_or_a_word_between():
    other = COLOURS | SIDES | FUNCTION_WORDS | CLAUSE_WORDS | VAGUE_WORDS
    assert other.isdisjoint(NOUNS)


def test_colours_have_one_name_and_shades_none():
    assert SHADES["gray"] == SHADES["grey"] == {"grey"}
    assert SHADES["dark"] == frozenset()
