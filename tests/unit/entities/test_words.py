import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.entities.words import plural, singular, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Red roofs, palms.", "red roofs , palms ."),
        ("It isn't a ‘church’; it’s a mosque’s door!", "it isn't a church . it a mosque door ."),
        ("the roofs' tiles and 'stone' walls", "the roofs tiles and stone walls"),
        ("palm-tree/roof **bold** (left) [x]", "palm tree roof bold , left , x"),
        ("Église — café…", "église café ."),
        ("赤い屋根、石の塔。", "赤い屋根 , 石の塔 ."),
        ("a\nb", "a . b"),
        ("", ""),
    ],
)
def test_a_text_is_cut_into_words_and_ends_of_clauses(text, tokens):
    assert tokenize(text) == tokens.split()


def test_every_blank_divides_words():
    blanks = [chr(i) for i in range(sys.maxunicode + 1) if chr(i).isspace()]
    assert [token for blank in blanks for token in tokenize(f"red{blank}roof") if token != "."] == ["red", "roof"] * len(blanks)


@pytest.mark.parametrize("hidden", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\ud800"])
def test_what_no_reader_sees_changes_no_word(hidden):
    assert tokenize(f"pa{hidden}lm n{hidden}o") == ["palm", "no"]


@given(st.text(max_size=200))
def test_any_text_is_cut_into_words_without_blank_space(text):
    assert all(token and not any(map(str.isspace, token)) for token in tokenize(text))


@pytest.mark.parametrize(
    ("many", "one"),
    [
        *[("buses", "bus"), ("minibuses", "minibus"), ("houses", "house"), ("leaves", "leaf"), ("waves", "wave")],
        *[("churches", "church"), ("dresses", "dress"), ("boxes", "box"), ("cities", "city"), ("pies", "pie")],
        *[("cacti", "cactus"), ("cactuses", "cactus"), ("volcanoes", "volcano"), ("canoes", "canoe"), ("shoes", "shoe")],
        *[("breezes", "breeze"), ("headscarves", "headscarf"), ("women", "woman"), ("people", "people")],
        *[("grass", "grass"), ("bus", "bus"), ("iris", "iris"), ("gas", "gas"), ("églises", "eglise"), ("塔", "塔")],
    ],
)
def test_the_singular_of_a_noun(many, one):
    assert singular(many) == one


@pytest.mark.parametrize("word", ["bus", "leaf", "church", "city", "monkey", "box", "cactus", "person", "headscarf", "villa"])
def test_a_plural_leads_back_to_its_singular(word):
    assert singular(plural(word)) == word != plural(word)


@given(st.text("aehinosuvx", min_size=1, max_size=8))
def test_a_singular_stays_itself(word):
    assert singular(singular(word)) == singular(word)
