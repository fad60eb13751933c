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
    """The engine takes questions, or its server connections, and answers none."""
    draining: bool = False
    """The process has been told to end, and still takes requests."""
    alone: bool = False
    """It has been told to end, no other replica is ready, and so it goes on as before for a while: see `alone`."""
    closing: bool = False
    """The time for requests in flight is over."""
    digest: str = ""
    """Of the checkpoint that the engine serves: as it says, or else the manifest in the checkpoint's folder, if there is one."""
    max_model_len: int = 0
    """Tokens that prompt and answer may have together; 0 until the engine has said so."""
    in_flight: int = 0
    """Questions that are being answered."""
    asked_s: float = field(default_factory=time.monotonic)
    """When a client last asked one, on the monotonic clock."""
    last_sign_s: float = field(default_factory=time.monotonic)
    """When the engine last gave a part of an answer, on the monotonic clock."""

    @property
    def serving(self) -> bool:
        """Whether the engine answers, as far as is known."""
        return self.up and self.proven and not self.hung

    @property
    def leaving(self) -> bool:
        """Whether clients should go elsewhere."""
        return (self.draining and not self.alone) or self.closing

    @property
    def ready(self) -> bool:
        """Whether new clients should come here."""
        return self.serving and not self.leaving

    def answered(self) -> None:
        """The engine has just given a part of an answer."""
        self.last_sign_s = time.monotonic()
        self.hung = False
