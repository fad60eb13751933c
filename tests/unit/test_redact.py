"""Values of variables that are named like a secret; more of it in tests/unit/pipelines/remote/test_submit_tokens.py."""

import pytest

from globe.redact import HIDDEN, Redactor


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_ACCESS_KEY_ID", True),
        ("AWS_SESSION_TOKEN", True),
        ("GLOBE_TEACHER_API_KEY", True),
        ("GLOBE_API_KEY", True),
        ("KF_TOKEN_PATH", False),
        ("AWS_ENDPOINT_URL", False),
        ("MONKEY", False),
    ],
)
def test_what_a_variable_holds_is_hidden_if_its_name_says_secret(name, hidden):
    said = Redactor({name: "7Qx-planted"}).hide("refused: 7Qx-planted")
    assert said == ("refused: " + HIDDEN if hidden else "refused: 7Qx-planted")


def test_short_values_are_left_for_they_occur_by_chance():
    assert Redactor({"A_TOKEN": "true"}).hide("it is true") == "it is true"
