"""How an effort tells, and how it is called off."""

import pytest

from globe.storage.effort import Effort, Stopped


def test_one_thing_is_told_in_ten_seconds():
    told: list[str] = []
    effort = Effort(told.append)
    for number in range(3):
        effort.tell(str(number))
    effort._told_s -= 10
    effort.tell("later")
    assert told == ["0", "later"]


def test_what_was_called_off_goes_no_further():
    effort = Effort()
    effort.heard()
    effort.stop.set()
    with pytest.raises(Stopped):
        effort.heard()


def test_patience_comes_from_the_environment_and_a_brief_effort_has_less(monkeypatch):
    monkeypatch.setenv("GLOBE_S3_PATIENCE_S", "7")
    assert (Effort().patience_s, Effort().brief().patience_s) == (7, 7)
    assert Effort(patience_s=300).brief().patience_s == 20
