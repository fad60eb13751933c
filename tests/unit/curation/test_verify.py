import pytest
from place_names import COUNTRY_ALONE, RIGHT, WRONG

from globe.curation.elements import Vocabulary
from globe.curation.recipe import CurationRecipe
from globe.curation.replies import CoordinateReply, VlmReply
from globe.curation.verify import consensus, is_true_place, judge
from globe.geo.verdict import Truth

NAPLES = Truth("Italy", "Naples", 40.8522, 14.2681)
RECIPE = CurationRecipe()
SEEN = ["red roof", "palm", "water"]


def vlm(**changes):
    values = {
        "localizable": True,
        "score": 0.9,
        "country": "Italy",
        "city": "Naples",
        "reasoning": "red roofs, palms",
        "elements": SEEN,
    }
    return VlmReply(**{**values, **changes})


NEAR = {"c": CoordinateReply(lat_deg=40.9, lon_deg=14.3, confidence=0.9)}
FAR = {"c": CoordinateReply(lat_deg=41.9, lon_deg=12.5, confidence=0.9)}
UNSURE = {"c": CoordinateReply(lat_deg=0, lon_deg=0, confidence=0.1)}


def decide(vlms, positions=NEAR, truth=NAPLES, recipe=RECIPE):
    vocabulary = Vocabulary()
    for name in ("x", "y"):
        vocabulary.add(name, ["red roof", "palm", "snow", "water"])
    return judge(truth, vlms, positions, vocabulary, recipe)


def test_a_picture_with_two_right_annotations_is_kept_with_the_better_scored_one():
    verdict = decide({"a": vlm(score=0.7), "b": vlm()})
    assert (verdict.reason, verdict.best, verdict.localizable) == ("kept", "b", True)
    assert verdict.annotations["b"].entities == ("red roof", "palm")
    assert verdict.elements == tuple(SEEN)


def test_what_a_reasoning_denies_is_neither_an_entity_nor_held_against_it():
    verdict = decide({"a": vlm(reasoning="There isn't any snow, no water or snow. Gray buses, red roofs."), "b": vlm()})
    assert verdict.annotations["a"].accepted
    assert verdict.annotations["a"].entities == ("red roof",)


def test_names_in_another_language_and_case_are_the_same_place():
    assert decide({"a": vlm(country="italia", city="NAPOLI"), "b": vlm()}).annotations["a"].accepted


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"city": "Rome"}, "wrong_place"),
        ({"city": ""}, "wrong_place"),
        ({"country": "France"}, "wrong_place"),
        ({"country": "Atlantis", "city": "Naples"}, "wrong_place"),
        ({"score": 0.49}, "low_score"),
        ({"localizable": False}, "localizability_disputed"),
        ({"reasoning": "red roofs, snow"}, "entity_not_seen"),
        ({"reasoning": "red roofs, snow", "elements": [*SEEN, "snow"]}, "entity_not_seen"),
        ({"reasoning": "it feels like Italy"}, "no_entity_named"),
        ({"reasoning": ""}, "no_entity_named"),
        ({"reasoning": "There isn't a palm. Red roofs are not visible."}, "no_entity_named"),
    ],
)
def test_an_annotation_that_breaks_a_rule_is_dropped_for_it_while_the_other_stays(changes, reason):
    verdict = decide({"a": vlm(**changes), "b": vlm()})
    assert verdict.annotations["a"].reason == reason
    assert (verdict.best, verdict.reason) == ("b", "kept")


def test_a_place_close_to_the_truth_counts_and_one_beyond_the_limit_does_not():
    pozzuoli = {"a": vlm(city="Pozzuoli"), "b": vlm()}
    assert decide(pozzuoli).annotations["a"].accepted
    assert decide(pozzuoli, recipe=CurationRecipe(agree_km=5)).annotations["a"].reason == "wrong_place"


def test_a_truth_without_city_is_met_by_distance():
    assert is_true_place("Italy", "Naples", Truth("Italy", "", 40.85, 14.27), 50)
    assert not is_true_place("Italy", "Rome", Truth("Italy", "", 40.85, 14.27), 50)


@pytest.mark.parametrize(("truth", "country", "city"), RIGHT)
def test_the_right_place_is_kept_under_any_of_its_names(truth, country, city):
    assert is_true_place(country, city, truth, 0)
    named = vlm(country=country, city=city)
    for other in (named, vlm(country=truth.country, city=truth.city)):
        assert decide({"a": named, "b": other}, {}, truth).annotations["a"].accepted


@pytest.mark.parametrize(("truth", "country", "city"), [*COUNTRY_ALONE, *WRONG])
def test_another_city_is_dropped_and_so_is_one_across_a_border_however_near(truth, country, city):
    assert not is_true_place(country, city, truth, 50)
    named = vlm(country=country, city=city)
    assert decide({"a": named, "b": named}, NEAR, truth).annotations["a"].reason == "wrong_place"


@pytest.mark.parametrize(
    ("other", "positions", "kept"),
    [
        (vlm(city="Rome"), NEAR, True),
        (vlm(city="Rome"), FAR, False),
        (vlm(city="Rome"), {}, False),
        (vlm(), FAR, True),
        (vlm(city="Pozzuoli"), {}, True),
    ],
)
def test_a_place_needs_another_witness(other, positions, kept):
    verdict = decide({"a": vlm(), "b": other}, positions)
    assert verdict.annotations["a"].reason == ("accepted" if kept else "not_corroborated")


def test_a_lone_annotation_has_nobody_to_confirm_what_it_names():
    assert decide({"a": vlm()}).reason == "entity_not_seen"
    assert decide({"a": vlm()}, recipe=CurationRecipe(min_entity_support=0)).reason == "kept"


def test_a_lower_support_lets_some_unconfirmed_entities_pass():
    replies = {"a": vlm(reasoning="red roofs, palms, snow"), "b": vlm(localizable=False)}
    assert decide(replies).best is None
    verdict = decide(replies, recipe=CurationRecipe(min_entity_support=0.6))
    assert verdict.annotations["a"].entities == ("red roof", "palm")


@pytest.mark.parametrize(
    ("votes", "positions", "expected"),
    [
        ([], NEAR, None),
        ([True], UNSURE, True),
        ([True, True, False], UNSURE, True),
        ([False, False], NEAR, False),
        ([True, False], NEAR, True),
        ([True, False], UNSURE, False),
        ([True, False], {}, None),
    ],
)
def test_localizability_is_the_majority_and_a_coordinate_model_breaks_ties(votes, positions, expected):
    replies = {str(n): vlm(localizable=vote) for n, vote in enumerate(votes)}
    assert consensus(replies, positions, 0.5) is expected


def test_an_unlocatable_picture_is_dropped_but_its_honest_annotation_is_accepted():
    blank = vlm(localizable=False, score=0.1, country="", city="", reasoning="only fog", elements=["fog"])
    verdict = decide({"a": blank, "b": vlm()}, UNSURE)
    assert (verdict.reason, verdict.best, verdict.localizable) == ("not_localizable", None, False)
    assert verdict.annotations["a"].accepted
    assert verdict.annotations["b"].reason == "not_localizable"
    assert verdict.spokesman == "a"


def test_a_picture_without_any_reply_is_dropped_as_such():
    verdict = decide({})
    assert (verdict.reason, verdict.localizable, verdict.spokesman) == ("no_reply", None, None)


def test_a_dropped_picture_is_counted_under_its_best_annotations_reason():
    verdict = decide({"a": vlm(city="Rome"), "b": vlm(reasoning="snow")})
    assert verdict.reason == "entity_not_seen"
