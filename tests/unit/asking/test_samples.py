"""Of several answers the one that most others agree with."""

import pytest

from globe.asking.answers import Location, geocode
from globe.asking.samples import agree, consistent


def said(country: str, city: str = ""):
    return geocode(f"<answer>country: {country}\ncity: {city}</answer>")


PARIS, VERSAILLES, LYON, FRANCE = said("France", "Paris"), said("France", "Versailles"), said("France", "Lyon"), said("France")
NOWHERE, ALSO_NOWHERE = said("Atlantis", "Poseidonis"), said("atlantis", "poseidonis")
SILENT, FAILED = Location("not_parsed", "?"), Location("call_failed", error="HTTP status 500")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (PARIS, PARIS, True),
        (PARIS, VERSAILLES, True),  # 17 km
        (PARIS, LYON, False),
        (PARIS, FRANCE, False),  # whatever the country's point is
        (FRANCE, FRANCE, True),
        (NOWHERE, ALSO_NOWHERE, True),  # by name
        (NOWHERE, PARIS, False),
        (SILENT, SILENT, False),
        (FAILED, FAILED, False),
    ],
)
def test_two_answers_agree_if_they_name_one_place(one, other, expected):
    assert agree(one, other) == agree(other, one) == expected


@pytest.mark.parametrize(
    ("samples", "chosen", "agreement"),
    [
        ([LYON, PARIS, VERSAILLES], PARIS, 2 / 3),
        ([LYON, PARIS, SILENT], LYON, 1 / 3),  # of equals the first
        ([SILENT, FAILED, LYON], LYON, 1 / 3),
        ([FAILED, SILENT], SILENT, 0.0),
        ([FAILED, FAILED], FAILED, 0.0),
        ([NOWHERE, PARIS, ALSO_NOWHERE, LYON], NOWHERE, 0.5),
    ],
)
def test_the_answer_with_most_agreement_counts(samples, chosen, agreement):
    found = consistent(samples)
    assert (found.status, found.city, found.error, found.agreement) == (chosen.status, chosen.city, chosen.error, agreement)
    assert list(found.samples) == samples


def test_what_all_samples_took_is_added_up():
    samples = [Location("ok", attempts=2, prompt_tokens=5, completion_tokens=None), Location("ok", attempts=1, prompt_tokens=6)]
    found = consistent(samples)
    assert (found.attempts, found.prompt_tokens, found.completion_tokens) == (3, 11, None)


def test_a_single_answer_is_left_as_it_is():
    assert consistent([PARIS]) is PARIS
    assert PARIS.agreement is None
