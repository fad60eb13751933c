import pytest
from place_names import COUNTRY_ALONE, RIGHT, WRONG

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.verify import judge
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.teachers.replies import CoordinateReply, SegmentationReply, VlmReply
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


def decide(vlms, positions=NEAR, truth=NAPLES, recipe=RECIPE, **further):
    vocabulary = Vocabulary()
    for name in ("x", "y"):
        vocabulary.add(name, ["red roof", "palm", "snow", "water"])
    vocabulary.add_classes("eyes", ["roof", "palm, palm tree", "snow"])
    return judge(truth, Evidence(vlms, positions, **further), vocabulary, recipe)


def test_a_picture_with_two_right_annotations_is_kept_with_the_better_scored_one():
    verdict = decide({"a": vlm(score=0.7), "b": vlm()})
    assert (verdict.reason, verdict.best, verdict.localizable) == ("kept", "b", True)
    assert verdict.annotations["b"].entities == ("red roof", "palm")
    assert verdict.elements == tuple(SEEN)


def test_what_a_reasoning_denies_is_neither_an_entity_nor_held_against_it():
    verdict = decide({"a": vlm(reasoning="There isn't any snow, no water or snow. Gray buses, red roofs."), "b": vlm()})
    assert verdict.annotations["a"].accepted
    assert verdict.annotations["a"].entities == ("red roof",)


@pytest.mark.parametrize(("said", "spokesman"), [(("", "Only fog."), "b"), (("Only fog.", ""), "a"), (("", ""), None)])
def test_of_an_unlocatable_picture_a_teacher_speaks_who_says_something(said, spokesman):
    first, second = (vlm(localizable=False, score=score, reasoning=text) for score, text in zip((0.9, 0.8), said, strict=True))
    verdict = decide({"a": first, "b": second})
    assert verdict.localizable is False
    assert verdict.spokesman == spokesman


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


@pytest.mark.parametrize(("truth", "country", "city"), RIGHT)
def test_the_right_place_is_kept_under_any_of_its_names(truth, country, city):
    named = vlm(country=country, city=city)
    for other in (named, vlm(country=truth.country, city=truth.city)):
        assert decide({"a": named, "b": other}, {}, truth).annotations["a"].accepted


@pytest.mark.parametrize(("truth", "country", "city"), [*COUNTRY_ALONE, *WRONG])
def test_another_city_is_dropped_and_so_is_one_across_a_border_however_near(truth, country, city):
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


def test_an_annotation_has_every_rule_that_it_fails_in_the_papers_order():
    wrong = vlm(city="Rome", score=0.1, reasoning="snow")
    verdict = decide({"a": wrong, "b": vlm()}, {}, recipe=CurationRecipe(min_shared_cues=0.5))
    assert verdict.annotations["a"].reasons == (
        "low_score",
        "wrong_place",
        "not_corroborated",
        "reasoning_differs",
        "entity_not_seen",
    )
    assert verdict.annotations["a"].reason == "low_score"
    assert verdict.annotations["b"].reasons == ("not_corroborated", "reasoning_differs")


def test_a_place_for_a_picture_that_most_find_unlocatable_is_judged_by_the_other_rules_as_well():
    blank = vlm(localizable=False, reasoning="water")
    verdict = decide({"a": vlm(city="Rome"), "b": blank, "c": blank}, FAR)
    assert verdict.annotations["a"].reasons == ("not_localizable", "wrong_place")
    assert verdict.annotations["b"].reasons == ()


@pytest.mark.parametrize(("cosine", "reasons"), [(0.5, ()), (0.49, ("reasoning_differs",))])
def test_reasonings_that_an_alignment_model_finds_different_are_dropped_with_their_cosine(cosine, reasons):
    verdict = decide({"a": vlm(), "b": vlm()}, alignments={("a", "b"): cosine})
    for annotation in verdict.annotations.values():
        assert (annotation.reasons, annotation.alignment) == (reasons, cosine)


def test_each_entity_names_the_witness_that_saw_it():
    eyes = {"eyes": SegmentationReply(shares={"palm, palm tree": 0.1, "roof": 0.2})}
    verdict = decide({"a": vlm(reasoning="red roofs, palms, water"), "b": vlm(elements=["water"])}, segments=eyes)
    assert verdict.annotations["a"].witnesses == {"red roof": "eyes", "palm": "eyes", "water": "b"}
    assert verdict.best == "a"


def test_what_a_segmentation_model_does_not_see_is_dropped_although_another_vlm_lists_it():
    replies = {"a": vlm(), "b": vlm()}
    assert decide(replies).best == "a"
    verdict = decide(replies, segments={"eyes": SegmentationReply(shares={"roof": 0.2})})
    assert verdict.reason == "entity_not_seen"
    assert verdict.annotations["a"].entities == ("red roof",)


SINGLE = CurationRecipe(rules=["localizable", "score", "truth"])


def test_single_source_verification_judges_each_teacher_by_itself_and_the_truth():
    lone = vlm(reasoning="red roofs, a kasbah")
    verdict = decide({"a": vlm(city="Rome", score=1), "b": lone, "c": vlm(localizable=False)}, {}, recipe=SINGLE)
    assert [annotation.reasons for annotation in verdict.annotations.values()] == [("wrong_place",), (), ()]
    assert (verdict.best, verdict.localizable) == ("b", True)
    assert verdict.annotations["b"].entities == ("red roof",)


def test_alone_a_teacher_that_locates_a_picture_rightly_is_believed_against_all_others():
    blank = vlm(localizable=False, score=0.1)
    replies = {"a": blank, "b": blank, "c": vlm()}
    assert decide(replies).reason == "not_localizable"
    verdict = decide(replies, recipe=SINGLE)
    assert (verdict.best, verdict.localizable, verdict.spokesman) == ("c", True, "c")


def test_alone_a_picture_that_nobody_locates_is_not_localizable():
    verdict = decide({"a": vlm(localizable=False)}, recipe=SINGLE)
    assert (verdict.reason, verdict.best, verdict.localizable, verdict.spokesman) == ("not_localizable", None, False, "a")


def test_without_rules_the_surest_teacher_is_believed_whatever_it_says_if_it_gives_a_reasoning():
    unverified = CurationRecipe(rules=[])
    verdict = decide({"a": vlm(city="Rome", score=0.6), "b": vlm(score=0.1)}, {}, recipe=unverified)
    assert (verdict.best, verdict.reason) == ("a", "kept")
    assert decide({"a": vlm(city="Rome", score=0.6, reasoning="")}, {}, recipe=unverified).reason == "no_reasoning"


def test_each_rule_that_is_switched_off_drops_no_more():
    replies = {"a": vlm(city="Rome", score=0.1, reasoning="snow"), "b": vlm(localizable=False)}
    strict = CurationRecipe(min_shared_cues=0.5)
    all_reasons = set(decide(replies, FAR, recipe=strict).annotations["a"].reasons)
    assert all_reasons == {"low_score", "wrong_place", "reasoning_differs", "entity_not_seen"}
    owners = {"score": "low_score", "truth": "wrong_place", "alignment": "reasoning_differs", "visibility": "entity_not_seen"}
    for rule, reason in owners.items():
        without = CurationRecipe(min_shared_cues=0.5, rules=[one for one in strict.rules if one != rule])
        assert set(decide(replies, FAR, recipe=without).annotations["a"].reasons) == all_reasons - {reason}


def test_decisions_tell_the_outcome_and_all_reasons_of_each_annotation():
    told = decide({"a": vlm(city="Rome", reasoning="snow"), "b": vlm()}, alignments={("a", "b"): 0.7}).told()
    assert told == {
        "outcome": "kept",
        "reason": "kept",
        "localizable": True,
        "annotations": {
            "a": {"reasons": ["wrong_place", "not_corroborated", "entity_not_seen"], "alignment": 0.7},
            "b": {"reasons": [], "alignment": 0.7, "witnesses": {"red roof": "a", "palm": "a"}},
        },
    }
    assert decide({}).told() == {"outcome": "dropped", "reason": "no_reply", "localizable": None, "annotations": {}}


def test_the_order_in_which_teachers_replied_makes_no_difference():
    replies = {"a": vlm(score=0.7), "b": vlm(elements=["water"]), "c": vlm(city="Rome")}
    sights = {name: SegmentationReply(shares={"roof": 0.2}, known=["roof"]) for name in ("eyes", "blind")}
    turned = {name: replies[name] for name in reversed(replies)}
    first = decide(replies, segments=sights)
    second = decide(turned, segments={name: sights[name] for name in reversed(sights)})
    assert first.annotations == second.annotations
    assert (first.best, first.spokesman, first.reason) == (second.best, second.spokesman, second.reason)
