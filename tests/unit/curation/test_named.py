import pytest

from globe.curation.named import SIMULATED, named_teachers, parse_teachers, teachers_code
from globe.demo.world import write_world
from globe.errors import InputError


def test_teachers_are_named_by_model_and_url_separated_by_commas():
    teachers = parse_teachers(" a@http://host:1/v1, ,coordinates:b@http://host:2/v1 ")
    assert [(teacher.kind, teacher.model, teacher.url) for teacher in teachers] == [
        ("vlm", "a", "http://host:1/v1"),
        ("coordinates", "b", "http://host:2/v1"),
    ]


@pytest.mark.parametrize("text", ["", " , "])
def test_no_teacher_is_an_error_that_says_how_to_name_one(text):
    with pytest.raises(InputError, match=r"teachers: name them as MODEL@URL"):
        parse_teachers(text)


def test_named_teachers_are_taken_as_they_are(tmp_path):
    with named_teachers("a@http://host:1/v1", tmp_path) as teachers:
        assert [teacher.model for teacher in teachers] == ["a"]
    assert teachers_code("a@http://host:1/v1") == ()


def test_the_simulated_ones_run_as_long_as_they_are_needed(tmp_path):
    write_world(tmp_path, pictures=6)
    with named_teachers(SIMULATED, tmp_path) as teachers:
        assert [teacher.kind for teacher in teachers] == ["vlm", "vlm", "coordinates"]
    assert teachers_code(SIMULATED) == ("globe.demo.teacher_server",)
