"""Which values are secrets, and that nothing is left of them."""

import pytest

from globe.redactor import Redactor


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("KFP_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("teacher_api_key", True),
        ("DB_PASSWORD", True),
        ("TOKENIZERS_PARALLELISM", False),
        ("KF_PIPELINES_SA_TOKEN_PATH", False),
        ("HOME", False),
    ],
)
def test_what_is_named_like_a_secret_is_one(name, hidden):
    assert (Redactor({name: "/some/value"}).hide("see /some/value") == "see ***") is hidden


def test_a_secret_within_another_leaves_no_rest():
    redactor = Redactor({"A_TOKEN": "12345678", "B_TOKEN": "0012345678900"})
    assert redactor.hide("0012345678900 12345678") == "*** ***"
