"""Curation writes the entities that the visual rewards read: what one finds in a reasoning the others find too."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.verify import Truth, judge
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.teachers.replies import VlmReply
from globe.rewards import REWARDS

NAPLES = Truth(country="Italy", city="Naples", lat_deg=40.8522, lon_deg=14.2681)
ELEMENTS = [
    *("palm trees", "Palms", "red roofs", "green roof", "roofs", "church", "a mosque", "buses", "leaves", "cars on the left"),
    *(
        "left traffic",
        "gray sidewalk",
        "rooftops",
        "kasbah",
        "Eiffel Tower",
        "église",
        "dark red tiled roof",
        "white church tower",
    ),
]


def kept_entities(reasoning: str, own: list[str], others: list[str], min_support: float = 0.01) -> tuple[str, ...]:
    """The entities that curation writes for a reasoning whose teacher lists some elements, and another teacher others."""
    place = {"localizable": True, "score": 0.9, "country": "Italy", "city": "Naples"}
    vlms = {
        "a": VlmReply(**place, reasoning=reasoning, elements=own),
        "b": VlmReply(**place, reasoning="", elements=others),
    }
    vocabulary = Vocabulary()
    for name in ("x", "y"):
        vocabulary.add(name, ELEMENTS)
    return judge(NAPLES, Evidence(vlms), vocabulary, CurationRecipe(min_entity_support=min_support)).annotations["a"].entities


def earned(name: str, reasoning: str, entities: tuple[str, ...]) -> float:
    return REWARDS[name](f"<think>{reasoning}</think><answer>country: A\ncity: B</answer>", {"entities": list(entities)}).score


DENIALS = [
    "There isn't a {}.",
    "{} is not visible.",
    "{} are absent.",
    "No snow, {} or sand.",
    "Without any {}.",
    "It lacks {}.",
    "{} cannot be seen.",
    "Neither {} nor sand.",
    "Sand rather than {}.",
]
CLAIMS = ["{}", "A view of {}.", "There are {}, and sand.", "No snow, but {}.", "Not only {}.", "Sand (no snow) and {}."]


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("sentence", DENIALS)
def test_what_a_reasoning_denies_is_no_entity_and_earns_nothing(sentence: str, element: str) -> None:
    reasoning = sentence.format(element)
    assert kept_entities(reasoning, ELEMENTS, ELEMENTS) == ()
    assert earned("visual_recall", reasoning, (element,)) == 0.0


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("sentence", CLAIMS)
def test_what_a_reasoning_claims_is_an_entity_and_earns_the_reward(sentence: str, element: str) -> None:
    reasoning = sentence.format(element)
    entities = kept_entities(reasoning, [element], [element])
    assert entities == (element,)
    assert earned("visual_recall", reasoning, entities) == 1.0
    assert earned("visual_precision", reasoning, (*entities, "sand")) == 1.0


SENTENCES = st.tuples(st.sampled_from(DENIALS + CLAIMS), st.sampled_from(ELEMENTS)).map(lambda pair: pair[0].format(pair[1]))
SOME = st.lists(st.sampled_from(ELEMENTS), max_size=8)


@settings(max_examples=500, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=5), SOME, SOME, st.sampled_from([" ", ", ", " and ", " or "]))
def test_the_rewards_find_named_every_entity_that_curation_writes(
    sentences: list[str], own: list[str], others: list[str], joint: str
) -> None:
    reasoning = joint.join(sentences)
    entities = kept_entities(reasoning, own, others)
    if entities:
        assert earned("visual_recall", reasoning, entities) == 1.0
        assert all(earned("visual_recall", reasoning, (entity,)) == 1.0 for entity in entities)
