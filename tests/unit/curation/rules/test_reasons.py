import pytest

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.reasons import REASONS
from globe.curation.rules.verify import judge
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.teachers.replies import VlmReply
from globe.geo.verdict import Truth

NAPLES = Truth("Italy", "Naples", 40.8522, 14.2681)
GOOD = {
    "localizable": True,
    "score": 0.9,
    "country": "Italy",
    "city": "Naples",
    "reasoning": "red roofs, palms",
    "elements": ["red roof", "palm"],
}
PAIRS = {
    "no_reply": [],
    "undecided": [{}, {"localizable": False}],
    "not_localizable": [{"localizable": False}, {"localizable": False}],
    "localizability_disputed": [{"localizable": False}, {"score": 0.1}, {}],
    "low_score": [{"score": 0.1}, {"score": 0.1}],
    "wrong_place": [{"city": "Rome"}, {"city": "Rome"}],
    "not_corroborated": [{}, {"city": "Rome"}],
    "reasoning_differs": [{"elements": ["red roof", "palm", "water"]}, {"reasoning": "water"}],
    "no_reasoning": [{"reasoning": ""}, {"reasoning": ""}],
    "no_entity_named": [{"reasoning": "it feels like Italy"}, {"reasoning": ""}],
    "entity_not_seen": [{}, {"elements": ["water"]}],
}
"""Replies about one picture, by a reason for which at least one of its annotations, or the picture without any, is dropped."""


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_given_to_a_picture_that_has_it(reason):
    vlms = {f"vlm-{number}": VlmReply(**{**GOOD, **changes}) for number, changes in enumerate(PAIRS[reason])}
    vocabulary = Vocabulary()
    for name, reply in vlms.items():
        vocabulary.add(name, reply.elements)
    changes = {"no_reasoning": {"rules": ["localizable"]}, "reasoning_differs": {"min_shared_cues": 0.5}}
    verdict = judge(NAPLES, Evidence(vlms), vocabulary, CurationRecipe(**changes.get(reason, {})))
    assert reason in {verdict.reason, *(annotation.reason for annotation in verdict.annotations.values())}
