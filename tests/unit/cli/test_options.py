"""What an option that names a path takes."""

from pathlib import Path

import pytest

from globe.cli.options import some_path
from globe.errors import InputError


def test_a_path_is_taken_as_it_is():
    assert [some_path(text) for text in (".", "a b/ä.csv", "C:x")] == [Path("."), Path("a b/ä.csv"), Path("C:x")]


@pytest.mark.parametrize(
    ("text", "says"), [("", "not a path"), (" ", "not a path"), ("a\0b", "not a path"), ("s3://b/k", "is not on this machine")]
)
def test_what_is_no_path_of_this_machine_is_refused(text, says):
    with pytest.raises(InputError, match=says):
        some_path(text)
