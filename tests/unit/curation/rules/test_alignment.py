import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.alignment import best_alignment, is_aligned, shared_cues
from globe.entities.matching import thing_of


def cues(*texts):
    return [thing_of(text) for text in texts]


NAMED = {"a": cues("roof", "palm", "tram"), "b": cues("red roof", "church"), "c": cues("snow")}
BY_CUES = CurationRecipe(min_shared_cues=0.5)


@pytest.mark.parametrize(
    ("cosines", "expected"),
    [
        ({("a", "b"): 0.6}, True),
        ({("a", "b"): 0.59}, False),
        ({("a", "b"): -1.0, ("a", "c"): 0.6}, True),
        ({("b", "c"): 0.1}, True),
        ({}, True),
    ],
)
def test_one_other_reasoning_must_be_close_and_nothing_compared_is_nothing_held_against_it(cosines, expected):
    assert is_aligned("a", ["b", "c"], cosines, NAMED, CurationRecipe(min_alignment=0.6)) is expected


def test_a_pair_is_found_by_its_names_in_either_order():
    assert not is_aligned("b", ["a"], {("a", "b"): 0.1}, NAMED, CurationRecipe())


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [("a", ["b"], True), ("a", ["c"], False), ("a", ["b", "c"], True), ("c", ["a", "b"], False), ("a", [], False)],
)
def test_without_a_cosine_shared_cues_decide_if_the_recipe_asks_for_any(name, others, expected):
    assert is_aligned(name, others, {}, NAMED, BY_CUES) is expected
    assert is_aligned(name, others, {}, NAMED, CurationRecipe())


def test_a_cosine_goes_before_cues():
    assert not is_aligned("a", ["b"], {("a", "b"): 0.1}, NAMED, BY_CUES)
    assert is_aligned("a", ["c"], {("a", "c"): 0.9}, NAMED, BY_CUES)


def test_shared_cues_are_words_of_the_shorter_reasoning():
    assert shared_cues(NAMED["a"], NAMED["b"]) == pytest.approx(1 / 2)
    assert shared_cues(cues("roof"), cues("roof", "palm", "tram")) == 1.0
    assert shared_cues([], NAMED["a"]) == 0.0


SOME = st.lists(st.sampled_from(cues("roof", "red roof", "church tower", "tower", "palm")), max_size=4)


@given(SOME, SOME)
def test_sharing_is_a_share_and_the_same_both_ways(one, other):
    assert 0 <= shared_cues(one, other) == shared_cues(other, one) <= 1


def test_the_best_cosine_is_the_highest_of_a_teachers_own():
    cosines = {("a", "b"): 0.2, ("a", "c"): 0.4, ("b", "c"): 0.9}
    assert [best_alignment(name, cosines) for name in "abcd"] == [0.4, 0.9, 0.9, None]
