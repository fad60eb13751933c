"""Of what is there, the share that is named; lists, negations and the answer's words earn nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.entities.vocabulary import NOUNS
from globe.errors import InputError
from globe.rewards.visual_recall import score as visual_recall

SCENE = ["red earth", "palm tree", "green roof", "cars on the left", "church"]


def score(reasoning: str, entities: Any = SCENE) -> float:
    return visual_recall(f"<think>{reasoning}</think><answer>country: A\ncity: B</answer>", {"entities": entities}).score


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ("Palm trees and a church.", 0.4),
        ("red earth, palm trees, green roofs, a church, cars on the left", 1.0),
        ("A church and a mosque.", 0.2),
        ("The roof is green. Green roofs everywhere.", 0.2),
        ("Yellow roofs.", 0.0),
        ("Green tiled roofs under palms.", 0.2),
        ("The scarce carpet of clouds.", 0.0),
        ("no car, no palm tree, no church here", 0.0),
        ("There are no cars, churches or palm trees.", 0.0),
        ("No palm trees, but a church.", 0.2),
        ("No mosque, a church stands there.", 0.2),
        ("Palm trees are absent. A church.", 0.2),
        ("It isn't a church.", 0.0),
        ("Palm trees are not visible.", 0.0),
        ("Palm trees cannot be clearly seen. A church.", 0.2),
        ("The church isn't there, palm trees are.", 0.2),
        ("Churches are nowhere.", 0.0),
        ("A church that is not old.", 0.2),
        ("A church, not a mosque, is visible.", 0.2),
        ("Neither absent nor present: a church.", 0.2),
        ("a town devoid of churches", 0.0),
        ("a mosque as opposed to a church", 0.0),
        ("not only palm trees but also a church", 0.4),
        ("rather dry, with palm trees", 0.2),
        ("a church rather than a mosque", 0.2),
        ("CHURCHES!", 0.2),
        ("the church's door", 0.2),
        ("Hmm, hard to tell.", 0.0),
        ("cars drive on the right", 0.0),
        ("right traffic", 0.0),
        ("left-hand traffic with cars", 0.2),
        ("", 0.0),
    ],
)
def test_whole_words_count_with_inflections_colours_and_negation(reasoning: str, expected: float) -> None:
    assert score(reasoning) == pytest.approx(expected)


def test_what_no_reader_sees_changes_no_word() -> None:
    for hidden in ("\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\ud800"):
        assert score(f"n{hidden}o palm tr{hidden}ee but a chur{hidden}ch") == 0.2


def test_an_entity_is_named_by_all_its_words_only() -> None:
    assert score("The Eiffel Tower.", ["Eiffel Tower"]) == 1.0
    assert score("A tower.", ["Eiffel Tower"]) == 0.0


def test_an_entity_listed_twice_counts_once() -> None:
    assert score("a church", ["church", "Churches", "palm"]) == 0.5


def test_another_colour_does_not_name_an_entity_and_no_colour_does() -> None:
    assert score("blue roofs", ["red roof"]) == 0.0
    assert score("blue roofs, a roof", ["red roof"]) == 1.0
    assert score("blue roofs, red roofs", ["red roof"]) == 1.0


def test_a_row_without_entities_earns_nothing_and_a_broken_list_is_an_error() -> None:
    assert score("a church", []) == 0.0
    for bad in (None, "church", [3], [None], {"a": 1}, 7):
        with pytest.raises(InputError, match="entities"):
            score("a church", bad)


def test_a_list_of_words_earns_nothing() -> None:
    assert score(" ".join(sorted(set(NOUNS.values())))) == 0.0
    assert score(", ".join(sorted(set(NOUNS.values()))[:60]) + ", church, palm tree") == 0.0


def test_the_answer_is_not_searched_when_the_think_tag_is_not_closed() -> None:
    completion = "<think>Nothing much.<answer>country: church\ncity: palm tree</answer>"
    assert visual_recall(completion, {"entities": SCENE}).score == 0.0


@given(st.text(max_size=300), st.lists(st.text(max_size=30), max_size=6))
def test_no_reasoning_and_no_entity_raises_and_scores_stay_in_range(reasoning: str, entities: list[str]) -> None:
    assert 0.0 <= score(reasoning, entities) <= 1.0
