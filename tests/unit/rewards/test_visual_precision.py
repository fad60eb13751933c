"""Of what is claimed, the share that is there; lists, negations and further words earn nothing."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from globe.entities.vocabulary import NOUNS
from globe.errors import InputError
from globe.rewards.visual_precision import score as visual_precision

SCENE = ["red earth", "palm tree", "green roof", "cars on the left", "church"]


def score(reasoning: str, entities: Any = SCENE) -> float:
    return visual_precision(f"<think>{reasoning}</think><answer>country: A\ncity: B</answer>", {"entities": entities}).score


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ("Palm trees and a church.", 1.0),
        ("red earth, palm trees, green roofs, a church, cars on the left", 1.0),
        ("A church and a mosque.", 0.5),
        ("The roof is green. Green roofs everywhere.", 1.0),
        ("Yellow roofs.", 0.0),
        ("Green tiled roofs under palms.", 1.0),
        ("The scarce carpet of clouds.", 0.0),
        ("no car, no palm tree, no church here", 0.0),
        ("There are no cars, churches or palm trees.", 0.0),
        ("No palm trees, but a church.", 1.0),
        ("No mosque, a church stands there.", 1.0),
        ("Palm trees are absent. A church.", 1.0),
        ("It isn't a church.", 0.0),
        ("Palm trees are not visible.", 0.0),
        ("Palm trees cannot be clearly seen. A church.", 1.0),
        ("The church isn't there, palm trees are.", 1.0),
        ("Churches are nowhere.", 0.0),
        ("A church that is not old.", 1.0),
        ("A church, not a mosque, is visible.", 1.0),
        ("Neither absent nor present: a church.", 1.0),
        ("a town devoid of churches", 0.0),
        ("a mosque as opposed to a church", 0.0),
        ("not only palm trees but also a church", 1.0),
        ("rather dry, with palm trees", 1.0),
        ("a church rather than a mosque", 1.0),
        ("CHURCHES!", 1.0),
        ("the church's door", 0.5),
        ("Hmm, hard to tell.", 0.0),
        ("cars drive on the right", 0.5),
        ("right traffic", 0.0),
        ("left-hand traffic with cars", 2 / 3),
        ("", 0.0),
    ],
)
def test_whole_words_count_with_inflections_colours_and_negation(reasoning: str, expected: float) -> None:
    assert score(reasoning) == pytest.approx(expected)


def test_the_reason_names_what_is_not_there() -> None:
    assert visual_precision("<think>A church, a mosque.</think>", {"entities": SCENE}).reason == (
        "1 of 2 things named are there, not: mosque"
    )


@pytest.mark.parametrize("filler", ["quiet", "mosque"])
def test_a_list_under_a_negation_may_be_of_any_length(filler: str) -> None:
    for count in (1, 39, 40, 41, 200):
        assert score(f"no mosque, church {f'{filler} ' * count} or palm tree") == 0.0


def test_what_no_reader_sees_changes_no_word() -> None:
    for hidden in ("\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\ud800"):
        assert score(f"n{hidden}o palm tr{hidden}ee but a chur{hidden}ch") == 1.0


def test_entities_outside_the_vocabulary_count_too() -> None:
    assert score("The Eiffel Tower.", ["Eiffel Tower"]) == 1.0


def test_a_side_counts_only_where_the_picture_tells_one() -> None:
    assert score("a church on the right", ["church"]) == 1.0
    assert score("right traffic", ["left traffic"]) == 0.5


def test_a_row_without_entities_earns_nothing_and_a_broken_list_is_an_error() -> None:
    assert score("a church", []) == 0.0
    assert score("a church", ["green", "no palms"]) == 0.0
    for bad in (None, "church", [3], [None], {"a": 1}, 7):
        with pytest.raises(InputError, match="entities"):
            score("a church", bad)


def test_a_list_of_words_earns_nothing() -> None:
    assert score(" ".join(sorted(set(NOUNS.values())))) == 0.0


ABSENT = sorted(set(NOUNS.values()) - {"earth", "palm", "tree", "roof", "car", "church", "left", "right"})
SENTENCES = st.lists(
    st.sampled_from(
        [
            "palm",
            "trees",
            "a",
            "church",
            "green",
            "yellow",
            "roofs",
            "no",
            "not",
            "red",
            "earth",
            "cars",
            "on",
            "the",
            "left",
            ",",
            ".",
            "and",
            "with",
            "under",
            "mosque",
            "bridge",
            "tower",
            "old",
            "or",
            "but",
            "missing",
            "absent",
            "neither",
            "cannot",
            "visible",
            "nowhere",
            "rather",
            "than",
            "not",
            "only",
            "instead",
            "of",
            "right",
        ]
    ),
    max_size=25,
)


@settings(max_examples=400)
@given(SENTENCES, st.sampled_from([*ABSENT, "quiet"]), st.integers(0, 25))
@example(["palm", "neither", "absent"], "mosque", 2)
@example(["no", "mosque", ",", "church", *["quiet"] * 38, "or", "tower"], "quiet", 10)
@example(["palm", "is", "not", "visible"], "mosque", 3)
def test_adding_a_word_that_is_not_in_the_picture_never_raises_precision(tokens: list[str], word: str, at: int) -> None:
    before = score(" ".join(tokens))
    assert score(" ".join([*tokens[:at], word, *tokens[at:]])) <= before + 1e-12
    assert score(" ".join([*tokens, ".", word])) <= before + 1e-12


@given(st.text(max_size=300), st.lists(st.text(max_size=30), max_size=6))
def test_no_reasoning_and_no_entity_raises_and_scores_stay_in_range(reasoning: str, entities: list[str]) -> None:
    assert 0.0 <= score(reasoning, entities) <= 1.0
