"""What the log of a server that has ended says about why, as one line.

vLLM's processes report each other's failures: the last lines say that something failed and to look above for what. So the first
error that names a cause is told before them.
"""

import re
from pathlib import Path

MAX_CHARACTERS = 1200
END_BYTES = 200_000
"""How much of a log's end is read: the cause stands above the tracebacks of three processes."""
_PREFIX = re.compile(r"^(\([^()]*pid=\d+\) )?((DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_CAUSE = re.compile(r"^[A-Za-z_.]*(Error|Exception|Exit|Interrupt): \S")
_ELSEWHERE = re.compile(r"root cause|stack trace", re.IGNORECASE)
_NO_WORDS = " \t\r^~-="


def last_words(log: str, lines: int = 3) -> str:
    """The first error that names a cause, if there is one, and the last lines that say something.

    Args:
        log: The log, or its end.
        lines: How many of the last lines.

    Returns:
        One line; empty for an empty log.
    """
    said = [_PREFIX.sub("", line).strip() for line in log.splitlines() if line.strip(_NO_WORDS)]
    said = [line for line in said if line.strip(_NO_WORDS) and not line.startswith("warnings.warn")]
    causes = [line for line in said if _CAUSE.match(line) and not _ELSEWHERE.search(line)]
    last = said[-lines:]
    told = last if not causes or causes[0] in last else [causes[0], *said[-1:]]
    return " | ".join(part[:MAX_CHARACTERS] for part in told)[:MAX_CHARACTERS]


def last_words_of(path: Path) -> str:
    """The same of a log in a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        return last_words(file.read().decode("utf-8", "replace"))
