"""What commands print: results on stdout, everything else on stderr, and a sign of life while something takes long."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from globe.errors import GlobeError

_NOT_ASCII = re.compile(r"[\x7f-\U0010ffff]")
PATIENCE_S = 15.0
"""The longest time for which a command prints nothing."""


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
        sys.stdout = None  # or Python would try again when it exits
        raise GlobeError(f"stdout: cannot be written ({error.strerror})") from None


def to_json(document: Any, indent: int | None = None) -> str:
    """JSON text with place names in their own script; what would steer a terminal is escaped, which changes no value."""
    text = json.dumps(document, ensure_ascii=False, indent=indent, allow_nan=False)
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """A model's text as one line that is safe to print: without line breaks and control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def tell(text: str) -> None:
    """Prints a message on stderr, as one line; if that fails, the work goes on without it."""
    if sys.stderr is None:
        return
    try:
        print(f"globe: {one_line(text)}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """While a `with` block runs, prints now and then on stderr what it is waiting for.

    Yields:
        A function to call whenever something else was printed; the time is then counted from there.
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
