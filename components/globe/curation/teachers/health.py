"""How the calls to a teacher go, and when a curation stops because of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from globe.curation.recipe import Asking
from globe.curation.teachers.teacher import Teacher
from globe.errors import GlobeError, InputError
from globe.keys import TEACHER_KEY, why_withheld

HOPELESS_PICTURES = 8
"""A teacher that has never answered is given up on after so many pictures; one that sometimes answers gets more."""
JUDGED_PICTURES = 20
_NOT_THERE = re.compile(r"HTTP status (3\d\d|401|403|404|5\d\d)|[Cc]onnect")
"""What a server says, or is said of one, that is not there or lets nobody in; a picture that it refuses is told otherwise."""
_GO_ON = "run again to go on: replies so far are kept"


@dataclass
class Tally:
    """How the calls to one teacher went in this run, counted in questions except for `retries`."""

    asked: int = 0
    ok: int = 0
    failures: int = 0
    again: int = 0
    """Of the failures, those of questions that had failed before."""
    retries: int = 0
    remembered: int = 0
    """Questions that were answered in an earlier run, so they were not asked again."""
    last_failure: str = ""


def check_health(teacher: Teacher, tally: Tally, recipe: Asking, last: bool) -> None:
    """Stop when a teacher fails too often: without it little can be verified, and a thin result would still look fine.

    A run that goes on asks first what failed before, and some of that may never work. So how a teacher does now is judged by the
    other questions, and at the end all of its questions are judged, answered ones of earlier runs too.

    Args:
        teacher: Whom it is about.
        tally: How it went so far.
        recipe: The budget.
        last: Whether everything has been asked.

    Raises:
        InputError: It has never answered, so most likely the URL is wrong or it isn't running.
        GlobeError: It answers, but too rarely.
    """
    new = tally.failures - tally.again
    hopeless = new >= HOPELESS_PICTURES or (not tally.remembered and (last or tally.failures >= HOPELESS_PICTURES))
    hopeless |= last and tally.failures >= HOPELESS_PICTURES and bool(_NOT_THERE.search(tally.last_failure))
    if tally.failures and not tally.ok and hopeless:
        raise InputError(
            f"{_who(teacher)} gave no usable reply to any of {tally.failures} pictures ({tally.last_failure}); "
            f"{_advice(teacher, tally.last_failure)}, then run again: replies so far are kept"
        )
    judged = [(new, tally.ok + new)]
    if last:
        judged.append((tally.failures, tally.ok + tally.failures + tally.remembered))
    for failures, finished in judged:
        if failures > recipe.max_failed_share * finished and finished >= JUDGED_PICTURES:
            raise GlobeError(
                f"{_who(teacher)} gave no usable reply to {failures} of {finished} pictures ({tally.last_failure}), "
                f"over max_failed_share {recipe.max_failed_share:g}; {_GO_ON}"
            )


def fallen_silent(teacher: Teacher, tally: Tally, recipe: Asking) -> GlobeError:
    """What to say when none of a teacher's servers has answered for as long as it is waited for."""
    servers = f" from any of its {len(teacher.urls)} servers" if teacher.replicas else ""
    told = f"{_who(teacher)} has not answered{servers} for patience_s={recipe.patience_s:g} ({tally.last_failure})"
    if not tally.ok:
        return InputError(f"{told}; {_advice(teacher, tally.last_failure)}, then {_GO_ON}")
    return GlobeError(f"{told}; see that it is well, then {_GO_ON}")


def _advice(teacher: Teacher, failure: str) -> str:
    """What to do about a teacher that has never answered."""
    withheld = next(filter(None, (why_withheld(url, TEACHER_KEY) for url in teacher.urls)), None)
    if withheld:
        return withheld
    if any(f"HTTP status {status}" in failure for status in (401, 403)):
        return f"set {TEACHER_KEY.variable} to the key that its server asks for"
    if "HTTP status 3" in failure:
        return "it redirects, and pictures go only where you say: give the address that it leads to, if that is the teacher's"
    if "CERTIFICATE_VERIFY_FAILED" in failure:
        return "set SSL_CERT_FILE to a file with its certificate, or with that of who issued it"
    if "WRONG_VERSION_NUMBER" in failure:
        return "it does not speak https: write http://, if that is meant"
    return "check that it runs, knows the model by this name, and the URL is right"


def _who(teacher: Teacher) -> str:
    return f"teacher {teacher.model} at {' and '.join(teacher.urls)}"
