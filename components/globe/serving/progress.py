"""How far a starting vLLM has come, as its log says it."""

import re
from pathlib import Path

from globe.serving.diagnosis import LOG_END_BYTES

IMPORTING = "importing vLLM"
_SIGNS = (
    ("loading the weights", re.compile(rb"Starting to load model|Loading safetensors checkpoint shards|Loading weights took")),
    ("warming up", re.compile(rb"Completed \| (\d+)/\1 |Model loading took|GPU KV cache size|KV cache size|torch\.compile")),
    ("waiting for its first answer", re.compile(rb"Application startup complete")),
)
"""What vLLM does, in its order, each with what stands in the log from then on. With logging off, progress bars say enough."""


def phase(log: Path, since: int = 0) -> str:
    """What vLLM is doing.

    Args:
        log: Its log.
        since: Where in the log this start begins, in bytes.

    Returns:
        A few words for the user.
    """
    try:
        with log.open("rb") as file:
            file.seek(since)
            text = file.read(LOG_END_BYTES)
    except OSError:
        return IMPORTING
    seen = [name for name, sign in _SIGNS if sign.search(text)]
    return seen[-1] if seen else IMPORTING
