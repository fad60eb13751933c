"""Patience: what may pass is tried again, for as long as nothing is heard, and what cannot is told at once."""

import errno

import pytest

from globe.storage.bucket import keep_trying
from globe.storage.effort import Effort, NotThere, Passing, Stopped
from globe.storage.uris import Uri

URI = Uri("bucket", "a/b")


def failing(times: int, error: Exception, tried: list[int] | None = None, effort: Effort | None = None):
    tried = [] if tried is None else tried

    def call() -> str:
        tried.append(1)
        if effort:
            effort.heard()
        if len(tried) <= times:
            raise error
        return "done"

    return call


def test_what_may_pass_is_tried_again_and_told():
    told: list[str] = []
    assert keep_trying(failing(2, ConnectionResetError()), URI, Effort(told.append, 5)) == "done"
    assert len(told) == 1
    assert "s3://bucket/a/b: no answer from AWS (ConnectionResetError); trying for 5 s more" in told[0]


def test_patience_ends_when_nothing_is_heard():
    with pytest.raises(Passing, match="no answer"):
        keep_trying(failing(99, ConnectionResetError()), URI, Effort(lambda text: None, 0.3))


def test_patience_counts_from_the_last_byte_that_was_heard():
    effort = Effort(lambda text: None, 0.4)
    assert keep_trying(failing(4, ConnectionResetError(), effort=effort), URI, effort) == "done"  # longer than 0.4 s in all


FULL = OSError(errno.ENOSPC, "No space left")


@pytest.mark.parametrize(("error", "becomes"), [(FileNotFoundError("a/b"), NotThere), (FULL, OSError), (KeyError("x"), KeyError)])
def test_what_cannot_pass_is_not_tried_again(error, becomes):
    tried: list[int] = []
    with pytest.raises(becomes):
        keep_trying(failing(99, error, tried), URI, Effort(lambda text: None, 5))
    assert tried == [1]


def test_what_was_called_off_is_not_begun():
    effort, tried = Effort(), []
    effort.stop.set()
    with pytest.raises(Stopped):
        keep_trying(failing(0, KeyError(), tried), URI, effort)
    assert tried == []
