import pytest

from globe.entities.elements import Vocabulary, corroborated, is_seen, named_in, phrase_of


@pytest.mark.parametrize(
    ("one", "other"),
    [("Palm trees", "a palm tree"), ("red roofs", "Red  roof"), ("église", "Eglise"), ("grass", "grass"), ("churches", "church")],
)
def test_spellings_of_one_element_meet(one, other):
    assert phrase_of(one) == phrase_of(other) != ()


@pytest.mark.parametrize("text", ["", "the", " , ", "one two three four five six"])
def test_what_is_no_element_has_no_phrase(text):
    assert phrase_of(text) == ()


def phrases(*elements):
    return {phrase_of(element) for element in elements}


@pytest.mark.parametrize(
    ("text", "known", "found"),
    [
        ("Red roofs, and a palm tree.", ["red roof", "palm tree", "snow"], ["red roof", "palm tree"]),
        ("cars in left traffic", ["traffic", "left traffic", "car"], ["car", "left traffic"]),
        ("scarce carpets", ["car"], []),
        ("no palms, red roofs", ["palm", "red roof"], ["red roof"]),
        ("roofs without snow but palms", ["roof", "snow", "palm"], ["roof", "palm"]),
        ("red, roof", ["red roof"], []),
        ("snow and snow", ["snow"], ["snow"]),
    ],
)
def test_named_elements_are_found_whole_longest_first_and_not_when_denied(text, known, found):
    assert named_in(text, phrases(*known)) == [phrase_of(element) for element in found]


def test_a_more_exact_element_shows_the_less_exact_one_but_not_the_other_way_round():
    assert is_seen(phrase_of("roofs"), phrases("red roof"))
    assert not is_seen(phrase_of("red roof"), phrases("roof", "red sign"))


def test_one_teacher_alone_cannot_make_a_word_an_element():
    vocabulary = Vocabulary()
    vocabulary.add("a", ["road", "palm"])
    vocabulary.add("a", ["road"])
    vocabulary.add("b", ["palms"])
    assert vocabulary.shared() == phrases("palm")


def test_corroborated_elements_are_those_that_two_teachers_list():
    lists = {"a": ["Palms", "red roof", "snow"], "b": ["palm", "roof"], "c": ["sand"]}
    assert corroborated(lists) == ["Palms", "roof"]
