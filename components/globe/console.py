"""What commands print: results on stdout, everything else on stderr, and a sign of life while something takes long."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from globe.errors import GlobeError
from globe.printable import CI_COMMAND, one_line, printable, spelled

__all__ = ["emit", "last_shown", "one_line", "printable", "say", "tell", "tell_once", "to_json", "waiting"]
PATIENCE_S = 15.0
"""The longest time for which a command prints nothing."""


def emit(texts: Iterable[str]) -> None:
    """Writes texts to stdout, line by line, as UTF-8 whatever the terminal's encoding; nothing in them steers the terminal.

    Their own line breaks and tabs stay: take those of others out beforehand (`one_line`).
    """
    data = "".join(f"{_lines(text)}\n" for text in texts).encode("utf-8", "backslashreplace")
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


def _lines(text: str) -> str:
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def to_json(document: Any, indent: int | None = None) -> str:
    """JSON text with place names in their own script; what `printable` replaces is escaped, which changes no value."""
    text = CI_COMMAND.sub(r"#\\u0023", json.dumps(document, ensure_ascii=False, indent=indent, allow_nan=False))
    return "\n".join(spelled(line, lambda found: json.dumps(found)[1:-1]) for line in text.split("\n"))


def last_shown(line: str) -> str:
    """A line of a log as a terminal finally shows it, without what a progress bar has overwritten."""
    return printable(line.rstrip("\r\n").rpartition("\r")[2])


def say(text: str) -> None:
    """Prints lines on stderr as they are, such as those of a log, but for what would steer a terminal."""
    print("\n".join(map(last_shown, text.split("\n"))), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Prints a message on stderr, as one line; if that fails, the work goes on without it."""
    if sys.stderr is None:
        return
    try:
        print(f"globe: {one_line(text)}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


@cache
def tell_once(text: str) -> None:
    """Tells something, unless this process has told it before."""
    tell(text)


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
