import pytest

from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.health import Tally, check_health, fallen_silent
from globe.curation.teachers.teacher import Teacher
from globe.errors import GlobeError, InputError

TEACHER = Teacher("vlm", "m", "http://h/v1", ("http://o/v1",))
RECIPE = CurationRecipe(max_failed_share=0.25, patience_s=90)


@pytest.mark.parametrize(
    ("tally", "last"),
    [
        (Tally(), True),
        (Tally(ok=100), True),
        (Tally(ok=75, failures=25), True),
        (Tally(failures=7), False),
        (Tally(failures=7, remembered=100), True),
        (Tally(ok=1, failures=18), False),
        (Tally(failures=12, again=12, remembered=48), True),
        (Tally(ok=5, failures=14, again=10, remembered=9), False),
        (Tally(ok=15, failures=25, again=20, remembered=60), True),
    ],
)
def test_a_teacher_that_fails_as_often_as_it_may_is_kept(tally, last):
    check_health(TEACHER, tally, RECIPE, last)


@pytest.mark.parametrize(
    ("tally", "last"),
    [
        (Tally(failures=8), False),
        (Tally(failures=1), True),
        (Tally(failures=8, again=8), False),
        (Tally(failures=1, again=1), True),
        (Tally(failures=12, again=4, remembered=100), False),
    ],
)
def test_a_teacher_that_never_answered_is_the_users_to_look_after(tally, last):
    tally.last_failure = "connection refused"
    with pytest.raises(
        InputError, match=r"teacher m at http://h/v1 and http://o/v1 gave no usable reply .* \(connection refused\)"
    ):
        check_health(TEACHER, tally, RECIPE, last)


@pytest.mark.parametrize("failure", ["HTTP status 401: no key", "HTTP status 500", "Cannot connect to host"])
def test_one_that_is_gone_when_a_run_goes_on_is_told_though_all_that_is_left_had_failed_before(failure):
    gone = Tally(failures=12, again=12, remembered=48, last_failure=failure)
    check_health(TEACHER, gone, RECIPE, last=False)
    with pytest.raises(InputError, match="gave no usable reply to any of 12 pictures"):
        check_health(TEACHER, gone, RECIPE, last=True)
    check_health(
        TEACHER, Tally(failures=12, again=12, remembered=48, last_failure="HTTP status 400: too large"), RECIPE, last=True
    )


def test_a_teacher_that_fails_more_often_than_it_may_stops_the_run_and_says_by_what():
    with pytest.raises(GlobeError, match=r"to 6 of 20 pictures \(why\), over max_failed_share 0\.25; run again") as caught:
        check_health(TEACHER, Tally(ok=14, failures=6, last_failure="why"), RECIPE, last=False)
    assert not isinstance(caught.value, InputError)
    with pytest.raises(GlobeError, match="to 6 of 20 pictures"):
        check_health(TEACHER, Tally(ok=14, failures=16, again=10, remembered=1000), RECIPE, last=False)
    with pytest.raises(GlobeError, match="to 31 of 91 pictures"):
        check_health(TEACHER, Tally(ok=10, failures=31, again=30, remembered=50), RECIPE, last=True)


def test_silence_is_told_with_the_setting_that_says_how_long_it_was_waited_for():
    told = str(fallen_silent(TEACHER, Tally(last_failure="HTTP status 500"), RECIPE))
    assert "from any of its 2 servers for patience_s=90 (HTTP status 500)" in told


@pytest.mark.parametrize(("failure", "advice"), [
    ("HTTP status 401: no key", "set GLOBE_TEACHER_API_KEY to the key that its server asks for"),
    ("HTTP status 403", "set GLOBE_TEACHER_API_KEY"),
    ("HTTP status 302", "it redirects, and pictures go only where you say: give the address that it leads to"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "set SSL_CERT_FILE to a file with its certificate"),
    ("[SSL: WRONG_VERSION_NUMBER]", "it does not speak https: write http://, if that is meant"),
    ("HTTP status 404: no such model", "check that it runs, knows the model by this name, and the URL is right"),
])  # fmt: skip
def test_what_to_do_about_a_teacher_that_never_answered_depends_on_what_it_says(monkeypatch, failure, advice):
    monkeypatch.delenv("GLOBE_TEACHER_API_KEY", raising=False)
    with pytest.raises(InputError) as caught:
        check_health(TEACHER, Tally(failures=8, last_failure=failure), RECIPE, last=False)
    assert f"({failure}); {advice}" in str(caught.value)
    assert advice in str(fallen_silent(TEACHER, Tally(last_failure=failure), RECIPE))
