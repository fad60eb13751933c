"""Which values are secrets, and that nothing is left of them."""

import pytest

from globe.redactor import Redactor, without_secrets


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


def test_a_process_that_needs_no_key_gets_none_and_all_else():
    keys = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "GLOBE_SIGNING_KEY",
        "GLOBE_API_KEY",
        "KFP_TOKEN",
        "HF_TOKEN",
    ]
    others = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0", "HTTPS_PROXY": "http://p", "KF_PIPELINES_SA_TOKEN_PATH": "/t"}
    assert without_secrets(dict.fromkeys([*keys, "GLOBE_WEBHOOK_URL"], "s") | others) == others
