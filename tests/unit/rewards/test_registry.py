"""The registry, `globe/rewards/__init__.py`."""

import pytest

from globe.errors import InputError
from globe.rewards import LOCALIZABILITY, NAMES, REWARDS, SHORT_NAMES, full_name
from globe.rewards.format import score


def test_a_reward_is_known_by_its_files_name():
    assert REWARDS["format"] is score
    assert set(NAMES) == {*REWARDS, LOCALIZABILITY}


def test_short_names_stand_for_registered_ones():
    assert set(SHORT_NAMES.values()) <= set(NAMES)
    assert full_name("visual") == "visual_precision"
    assert full_name("localizability") == "localizability"


def test_an_unknown_name_is_refused_with_those_to_choose_from():
    with pytest.raises(InputError, match=r"localizability: no such reward; choose from accuracy, .*, length$"):
        full_name("localizability", REWARDS)
