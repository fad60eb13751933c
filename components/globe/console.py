"""What commands say: results on stdout, everything else on stderr, a line of life while something takes long."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from globe.errors import GlobeError

PATIENCE_S = 15.0
"""How long a command says nothing at most."""


def emit(lines: Iterable[str]) -> None:
    """Writes lines to stdout as UTF-8, whatever the terminal's encoding; lone surrogates become JSON escapes."""
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    if sys.stdout is None:
        raise GlobeError("stdout is closed: there is nowhere to print to")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # or Python tries once more at its end
        raise GlobeError(f"stdout: cannot be written ({error.strerror})") from None


def to_json(document: Any, indent: int | None = None) -> str:
    """JSON text with place names in their own script."""
    return json.dumps(document, ensure_ascii=False, indent=indent, allow_nan=False)


def one_line(text: str) -> str:
    """A model's words as one line of a terminal: without ends of lines, and without what a terminal would obey."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def tell(text: str) -> None:
    """Says something on stderr, as one line; where that cannot be written the work goes on without."""
    if sys.stderr is None:
        return
    try:
        print(f"globe: {' '.join(text.split())}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Says now and then on stderr what is still being waited for, as long as the block runs.

    Yields:
        A function to call whenever something else was said: the waiting then starts anew.
    """
    over = threading.Event()
    since = time.monotonic()

    def heard() -> None:
        nonlocal since
        since = time.monotonic()

    def repeat() -> None:
        told = since
        while not over.wait(1.0):
            now = time.monotonic()
            if now - max(told, since) >= PATIENCE_S:
                tell(f"{what} for {now - since:.0f} s ...")
                told = now

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()
