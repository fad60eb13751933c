"""What a gateway knows about its engine and about itself, from moment to moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Status:
    """Kept by the watch over the engine and by the server; read by everything else. It lives in one event loop."""

    up: bool = False
    """The engine answers its health check."""
    proven: bool = False
    """The engine has given a whole answer to a question with a picture since it came up."""
    hung: bool = False
    """The engine takes questions and answers none."""
    draining: bool = False
    """The process has been told to end, and still takes requests."""
    closing: bool = False
    """The time for requests in flight is over."""
    digest: str = ""
    """Of the checkpoint that the engine serves: as it says, or else the manifest in the checkpoint's folder, if there is one."""
    max_model_len: int = 0
    """Tokens that prompt and answer may have together; 0 until the engine has said so."""
    in_flight: int = 0
    """Questions that are being answered."""
    last_sign_s: float = field(default_factory=time.monotonic)
    """When the engine last gave a part of an answer, on the monotonic clock."""

    @property
    def ready(self) -> bool:
        """Whether new clients should come here."""
        return self.up and self.proven and not self.hung and not self.draining and not self.closing

    def answered(self) -> None:
        """The engine has just given a part of an answer."""
        self.last_sign_s = time.monotonic()
        self.hung = False
