import pytest

from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.named import parse_teachers
from globe.curation.teachers.teacher import Teacher, check_teachers, join_replicas
from globe.errors import InputError
from globe.recipes.load import load_recipe


@pytest.mark.parametrize(
    "spec",
    [
        *("a@http://h:1/v1", "org/model:7b@https://h.example/x/v1", "coordinates:geo@http://[::1]:80/v1", "a@b@http://h/v1"),
        *("segmentation:nvidia/seg:b0@http://h/v1", "alignment:m@http://h/v1"),
    ],
)
def test_a_teacher_is_written_as_it_is_read(spec):
    assert Teacher.parse(spec).spec == spec


def test_a_trailing_slash_makes_no_other_teacher():
    assert Teacher.parse("a@http://h/v1/") == Teacher.parse("a@http://h/v1")


@pytest.mark.parametrize(
    "spec",
    [
        *("", "a", "@http://h/v1", "http://h/v1", "a@ftp://h/v1", "a@http:///v1", "a@http://h", "a@http://h:99999/v1"),
        *("a@http://user:secret@h/v1", "a@http://h/v1?key=1", "coordinates:@http://h/v1", "a@file:///etc/v1"),
    ],
)
def test_anything_else_is_no_teacher(spec):
    with pytest.raises(InputError):
        Teacher.parse(spec)


A, B = "a@http://h/v1", "b@http://h/v1"
COORDINATES, SEGMENTS, ALIGNMENT = "coordinates:c@http://h/v1", "segmentation:s@http://h/v1", "alignment:l@http://h/v1"


def teachers(*specs):
    return [Teacher.parse(spec) for spec in specs]


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ([], "needs a VLM"),
        ([A], "can't be verified against another"),
        ([COORDINATES], "needs a VLM"),
        ([COORDINATES, SEGMENTS], "needs a VLM"),
        ([A, COORDINATES], "nothing confirms the visual elements"),
        ([A, SEGMENTS], "can't be verified against another"),
        ([A, COORDINATES, SEGMENTS, ALIGNMENT], "compares the reasonings of two VLMs"),
        ([A, B, ALIGNMENT, "alignment:m@http://h/v1"], "alignment:l and alignment:m: .*; name one alignment model"),
        ([A, "a@http://other/v1"], "can't be verified against another"),
        ([A, "a @http://other/v1"], "can't be verified against another"),
        ([A, B, A], "named twice at http://h/v1"),
        ([A, B, "coordinates:b@http://other/v1"], "named as vlm and as coordinates"),
    ],
)
def test_teachers_that_cannot_verify_each_other_are_refused(specs, said):
    with pytest.raises(InputError, match=said):
        check_teachers(teachers(*specs), CurationRecipe())


@pytest.mark.parametrize(
    "specs", [[A, B], [A, COORDINATES, SEGMENTS], [A, B, COORDINATES, SEGMENTS, ALIGNMENT], [A, B, "a@http://o/v1"]]
)
def test_teachers_that_can_are_not(specs):
    check_teachers(teachers(*specs), CurationRecipe())


def test_one_vlm_is_enough_for_those_who_do_without_confirmed_elements():
    check_teachers(teachers(A, COORDINATES), CurationRecipe(min_entity_support=0.0))


@pytest.mark.parametrize("name", ["mp16-random", "mp16-single-source"])
def test_one_teacher_is_enough_where_the_rules_compare_it_with_nobody(name):
    check_teachers(teachers(A), load_recipe(CurationRecipe, "curation", name))


def test_a_model_named_at_several_urls_is_one_teacher_with_several_servers():
    first, other, second = teachers(A, B, "a@http://o/v1")
    joined = join_replicas([first, other, second])
    assert [teacher.urls for teacher in joined] == [("http://h/v1", "http://o/v1"), ("http://h/v1",)]
    assert joined[0].spec == "a@http://h/v1,a@http://o/v1"
    assert join_replicas(joined) == joined == join_replicas(parse_teachers(",".join(teacher.spec for teacher in joined)))


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("segmentaton:s@http://h/v1", "segmentation"),
        ("Alignment:m@http://h/v1", "alignment"),
        ("coordinate:g@http://h/v1", "coordinates"),
    ],
)
def test_a_misspelt_kind_is_not_asked_as_a_vlm(spec, meant):
    with pytest.raises(InputError, match=f"did you mean {meant}:"):
        Teacher.parse(spec)


def test_a_malformed_teacher_is_told_every_form_that_there_is():
    with pytest.raises(InputError, match=r"as MODEL@URL, or KIND:MODEL@URL of .* \(KIND: coordinates, segmentation, alignment\)"):
        Teacher.parse("coordinates:")
