import pytest

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.localizability import consensus, localizability_fails, score_fails
from globe.curation.teachers.replies import CoordinateReply, VlmReply

SURE = {"c": CoordinateReply(lat_deg=0, lon_deg=0, confidence=0.9)}
UNSURE = {"c": CoordinateReply(lat_deg=0, lon_deg=0, confidence=0.1)}


def vlm(localizable=True, score=0.9):
    return VlmReply(localizable=localizable, score=score, reasoning="")


@pytest.mark.parametrize(
    ("votes", "positions", "expected"),
    [
        ([], SURE, None),
        ([True], UNSURE, True),
        ([True, True, False], UNSURE, True),
        ([False, False], SURE, False),
        ([True, False], SURE, True),
        ([True, False], UNSURE, False),
        ([True, False], {}, None),
        ([True, False], SURE | {"d": UNSURE["c"]}, True),
    ],
)
def test_localizability_is_the_majority_and_coordinate_models_break_ties(votes, positions, expected):
    assert consensus({str(n): vlm(vote) for n, vote in enumerate(votes)}, positions, 0.5) is expected


@pytest.mark.parametrize(
    ("says", "consensus_is", "reason"),
    [
        (True, True, None),
        (False, False, None),
        (True, False, "not_localizable"),
        (False, True, "localizability_disputed"),
        (True, None, "undecided"),
        (False, None, "undecided"),
    ],
)
def test_who_differs_from_the_consensus_fails_unless_that_rule_is_off(says, consensus_is, reason):
    assert localizability_fails(vlm(says), consensus_is, CurationRecipe()) == reason
    assert localizability_fails(vlm(says), consensus_is, CurationRecipe(rules=["localizable", "score"])) is None


@pytest.mark.parametrize(("score", "reason"), [(0.5, None), (0.49, "low_score")])
def test_a_score_below_the_least_one_fails_unless_that_rule_is_off(score, reason):
    assert score_fails(vlm(score=score), CurationRecipe()) == reason
    assert score_fails(vlm(score=score), CurationRecipe(rules=["localizable"])) is None
