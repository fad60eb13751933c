"""How hard to try: patience, whom to tell, how to be called off, and the kinds of failure that callers tell apart."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from globe.console import one_line, say
from globe.errors import GlobeError, InputError

PATIENCE_VARIABLE = "GLOBE_S3_PATIENCE_S"
PATIENCE_S = 300.0
"""How long a server may stay without an answer before a stage gives up."""
BRIEF_PATIENCE_S = 20.0
"""The same for what is worth a try but must not fail the work."""
NOTE_INTERVAL_S = 10.0


class NotThere(InputError):
    """No such object."""


class Exists(GlobeError):
    """An object that was to be created exists already."""


class Stopped(GlobeError):
    """The work was called off."""


class Unsupported(GlobeError):
    """The server cannot do what it was asked to, such as creating an object only if there is none."""


class Passing(GlobeError):
    """A failure that may pass: no answer, or one that asks to try again."""


class Damaged(GlobeError):
    """What lies in the bucket is not what its record promises."""


def to_stderr(text: str) -> None:
    """Tell what storage does when no stage is listening."""
    say(f"[storage] {one_line(text)}")


@dataclass
class Effort:
    """How hard to try, whom to tell, and how to be called off."""

    note: Callable[[str], None] = to_stderr
    patience_s: float = field(default_factory=lambda: float(os.environ.get(PATIENCE_VARIABLE) or PATIENCE_S))
    stop: threading.Event = field(default_factory=threading.Event)
    heard_s: float = 0.0
    """When the server last answered or moved a byte, by the monotonic clock: patience counts from here."""
    _told_s: float = 0.0

    def brief(self) -> "Effort":
        """An effort for what is worth a try but must not fail the work."""
        return Effort(self.note, min(BRIEF_PATIENCE_S, self.patience_s))

    def heard(self) -> None:
        """Remember that the server is alive; go no further if the work was called off."""
        self.heard_s = time.monotonic()
        if self.stop.is_set():
            raise Stopped("called off")

    def tell(self, text: str) -> None:
        """Tell at most one thing in ten seconds."""
        now = time.monotonic()
        if now - self._told_s >= NOTE_INTERVAL_S:
            self._told_s = now
            self.note(text)
