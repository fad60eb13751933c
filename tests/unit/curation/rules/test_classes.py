import pytest

from globe.curation.rules.classes import Classes
from globe.entities.matching import thing_of

ADE = [
    "wall",
    "building, edifice",
    "tree",
    "palm, palm tree",
    "car, auto, automobile",
    "bus, autobus",
    "streetlight, street lamp",
]
COCO = ["wall-brick", "wall-other-merged", "tree-merged", "playing-field", "traffic light"]


def see(names, thing, **shares):
    return Classes(names).see(thing_of(thing), shares or {}, 0.001)


@pytest.mark.parametrize(
    ("names", "thing", "classes"),
    [
        (ADE, "red double-decker bus", {"bus, autobus"}),
        (ADE, "buildings", {"building, edifice"}),
        (ADE, "edifices", {"building, edifice"}),
        (ADE, "a brick wall", {"wall"}),
        (ADE, "palm trees", {"palm, palm tree"}),
        (ADE, "trees", {"tree", "palm, palm tree"}),
        (ADE, "street lamps", {"streetlight, street lamp"}),
        (COCO, "brick wall", {"wall-brick"}),
        (COCO, "wall", {"wall-brick", "wall-other-merged"}),
        (COCO, "old trees", {"tree-merged"}),
    ],
)
def test_a_thing_belongs_to_the_most_exact_class_and_to_more_exact_ones_of_its_kind(names, thing, classes):
    covering = Classes(names).covering(thing_of(thing))
    assert (set(covering.classes), covering.decides) == (classes, True)


@pytest.mark.parametrize("thing", ["bus stop", "kasbah", "tree house", "automobile factory"])
def test_a_model_says_nothing_of_what_it_has_no_class_for(thing):
    assert Classes(ADE).covering(thing_of(thing)).classes == frozenset()
    assert Classes(ADE).see(thing_of(thing), dict.fromkeys(ADE, 0.1), 0.001) is None


def test_what_covers_enough_of_the_picture_is_seen_and_what_covers_less_is_not():
    classes = Classes(ADE)
    assert classes.see(thing_of("red bus"), {"bus, autobus": 0.001}, 0.001) is True
    assert classes.see(thing_of("red bus"), {"bus, autobus": 0.0009, "tree": 0.9}, 0.001) is False
    assert classes.see(thing_of("red bus"), {}, 0.001) is False


def test_several_classes_of_a_kind_are_seen_together():
    assert Classes(ADE).see(thing_of("trees"), {"tree": 0.0006, "palm, palm tree": 0.0006}, 0.001) is True


def test_a_more_exact_class_alone_affirms_a_thing_and_cannot_deny_it():
    classes = Classes(COCO)
    assert classes.see(thing_of("field"), {"playing-field": 0.2}, 0.001) is True
    assert classes.see(thing_of("field"), {}, 0.001) is None


@pytest.mark.parametrize("names", [[], ["", ";", "no", "-", "red"]])
def test_names_that_name_nothing_make_no_class(names):
    assert Classes(names).covering(thing_of("tree")) == (frozenset(), False)
