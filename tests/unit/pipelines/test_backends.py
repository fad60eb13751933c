"""Versions of KFP's backend: which package a server gets, and what its users are told."""

import itertools

import pytest

from globe.errors import InputError
from pipelines.backends import BACKENDS, LACKS, NEWEST, find_backend


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("2.17", "2.17"),
        ("2.17.0", "2.17"),
        ("2.17.1", "2.17"),
        ("2.18.0", "2.17"),
        ("2.16.1", "2.16"),
        ("v2.15.0", "2.15"),
        ("2.15.0-rc.1", "2.15"),
        ("2.14.4", "2.5"),
        ("2.5.0", "2.5"),
        ("2.6.0+vendor.3", "2.5"),
    ],
)
def test_a_server_gets_the_newest_package_that_is_not_newer_than_itself(said, version):
    assert find_backend(said) is BACKENDS[version]


@pytest.mark.parametrize("said", ["2.3.0", "2.4.1", "1.8.5", "2.0.0-alpha.7"])
def test_a_server_that_is_too_old_is_told_what_is_needed(said):
    with pytest.raises(InputError, match=r"needs 2\.5 or newer; there are packages for 2\.17, 2\.16, 2\.15, 2\.5"):
        find_backend(said)


def test_a_server_that_is_newer_than_all_is_not_called_too_old():
    with pytest.raises(InputError, match=r"KFP 3\.0\.0: no package was made for anything so new; there are packages for 2\.17"):
        find_backend("3.0.0")


@pytest.mark.parametrize("said", ["", "unknown", "latest", "2", "3.0.0", "2.x", "master-55ec846"])
def test_what_is_no_version_or_one_that_nobody_knows_yet_is_refused(said):
    with pytest.raises(InputError):
        find_backend(said)


def test_versions_are_listed_newest_first_and_newer_ones_can_do_all_that_older_ones_can():
    numbers = [backend.number for backend in BACKENDS.values()]
    assert numbers == sorted(numbers, reverse=True)
    assert BACKENDS[NEWEST.version] is NEWEST
    lost = LACKS["retries_failures"]  # what 2.17's own settings of Argo took away
    lacks = [set(backend.lacks) - {lost} for backend in BACKENDS.values()]
    assert all(newer < older for newer, older in itertools.pairwise(lacks))
    assert NEWEST.lacks == [lost]
    assert lacks[-1] | {lost} == set(LACKS.values())
