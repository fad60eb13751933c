import pytest

from globe.curation.rules.elements import Elements, corroborated, element_of, is_seen


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Palm trees", "a palm tree"),
        ("red roofs", "Red  roof"),
        ("église", "Eglise"),
        ("grass", "grass"),
        ("churches", "church"),
        ("buses", "a bus"),
        ("leaves", "leaf"),
        ("gray sidewalks", "grey pavement"),
    ],
)
def test_spellings_of_one_element_meet(one, other):
    assert element_of(one) == element_of(other)
    assert element_of(one).words


@pytest.mark.parametrize("text", ["", "the", " , ", "green", "no palms", "palms are absent", "one two three four five six"])
def test_what_is_no_element_has_no_words(text):
    assert not element_of(text).words


def elements(*texts):
    return [element_of(text) for text in texts]


def test_a_more_exact_element_shows_the_less_exact_one_but_not_the_other_way_round():
    assert is_seen(element_of("roofs"), elements("red roof"))
    assert not is_seen(element_of("red roof"), elements("roof", "red sign"))
    assert is_seen(element_of("tree"), elements("palm tree"))


def test_corroborated_elements_are_those_that_two_teachers_list():
    lists = {"a": ["Palms", "red roof", "snow"], "b": ["palm", "roof"], "c": ["sand"]}
    assert corroborated({name: Elements(texts) for name, texts in lists.items()}) == ["Palms", "roof"]


def test_an_element_that_a_teacher_denies_corroborates_nothing():
    assert corroborated({"a": Elements(["snow"]), "b": Elements(["no snow"])}) == []
