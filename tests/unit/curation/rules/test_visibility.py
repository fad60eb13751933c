import pytest

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.classes import Classes
from globe.curation.rules.elements import Elements
from globe.curation.rules.visibility import Segmented, judge_visibility
from globe.entities.matching import thing_of

CLASSES = Classes(["bus", "tree", "sky"])
STREET = Segmented("eyes", CLASSES, {"bus": 0.2, "sky": 0.3})
BUS, TREE, KASBAH = map(thing_of, ("red bus", "palm tree", "kasbah"))


def judged(things, segmented=(), others=None, **changes):
    lists = [(name, Elements(texts)) for name, texts in (others or {}).items()]
    return judge_visibility(things, segmented, lists, CurationRecipe(**changes))


def test_what_a_segmentation_model_has_a_class_for_it_decides_whatever_others_list():
    seen = judged([BUS, TREE], [STREET], {"b": ["palm tree", "red bus"]})
    assert (seen.things, seen.witnesses, seen.reason) == ((BUS,), {BUS: "eyes"}, "entity_not_seen")


def test_of_what_it_has_no_class_for_another_vlm_is_the_witness():
    seen = judged([BUS, KASBAH], [STREET], {"b": ["sky"], "c": ["kasbah"]})
    assert (seen.things, seen.witnesses, seen.reason) == ((BUS, KASBAH), {BUS: "eyes", KASBAH: "c"}, None)


def test_one_of_several_segmentation_models_is_enough_and_the_first_that_sees_it_is_named():
    blind = Segmented("a-blind", CLASSES, {})
    assert judged([BUS], [blind, STREET]).witnesses == {BUS: "eyes"}
    assert judged([BUS], [blind]).reason == "entity_not_seen"


@pytest.mark.parametrize(("least", "reason"), [(0.2, None), (0.21, "entity_not_seen")])
def test_a_thing_is_seen_that_covers_enough_of_the_picture(least, reason):
    assert judged([BUS], [STREET], min_visible_share=least).reason == reason


def test_what_nobody_can_vouch_for_passes_only_if_the_recipe_says_so_and_has_no_witness():
    assert judged([KASBAH], [STREET]).reason == "entity_not_seen"
    trusted = judged([KASBAH, BUS], [STREET], trust_unwitnessed=True)
    assert (trusted.things, trusted.witnesses, trusted.reason) == ((KASBAH, BUS), {BUS: "eyes"}, None)


def test_who_lists_other_things_could_have_listed_it():
    assert judged([KASBAH], [], {"b": ["sky"]}, trust_unwitnessed=True).reason == "entity_not_seen"
    assert judged([KASBAH], [], {"b": []}, trust_unwitnessed=True).reason is None


@pytest.mark.parametrize(
    ("support", "reason"), [(1.0, "entity_not_seen"), (2 / 3, None), (0.67, "entity_not_seen"), (0.01, None)]
)
def test_a_share_of_the_entities_may_lack_a_witness_and_is_left_out(support, reason):
    seen = judged([BUS, KASBAH, TREE], [STREET], {"b": ["kasbah"]}, min_entity_support=support)
    assert (seen.things, seen.reason) == ((BUS, KASBAH), reason)


def test_without_required_support_all_pass_and_only_those_seen_have_a_witness():
    seen = judged([BUS, TREE], [STREET], min_entity_support=0)
    assert (seen.things, seen.witnesses, seen.reason) == ((BUS, TREE), {BUS: "eyes"}, None)


def test_a_reasoning_that_names_nothing_shows_nothing():
    assert judged([], [STREET], min_entity_support=0).reason == "no_entity_named"
