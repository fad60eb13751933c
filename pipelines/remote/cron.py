"""Times of a schedule: from the five fields that people write to the six that KFP reads.

KFP's API server and controller read `cron.Parse` of robfig/cron v1: second, minute, hour, day of month, month and, optionally,
day of week. So five fields are not refused but misread: "0 3 * * *" would be minute 3 of every hour.
"""

import re

from globe.errors import InputError

OPTION = "--cron"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: list[tuple[str, int, int, list[str]]] = [
    ("second", 0, 59, []),
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
]
"""Name, least and greatest value, and names of values, the first of which is the least."""
_PART = re.compile(r"(\*|\?|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


def six_fields(text: str) -> str:
    """A cron expression as KFP reads it.

    Args:
        text: Five fields as in crontab, or six with seconds in front.

    Returns:
        Six fields.

    Raises:
        InputError: Not such an expression.
    """
    fields = text.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise InputError(f'{OPTION} {text!r}: give five fields as in crontab, such as "0 3 * * *", or six with seconds in front')
    return " ".join(_checked(field, place, text) for place, field in enumerate(fields))


def _checked(field: str, place: int, text: str) -> str:
    """A field, with 7 for Sunday as KFP writes it."""
    name, least, greatest, names = _FIELDS[place]
    parts = []
    for part in field.split(","):
        if name == "day of week" and part == "7":
            part = "0"
        found = _PART.fullmatch(part.lower())
        if not found:
            raise InputError(f"{OPTION} {text!r}: {name}: {part!r} is no value, range (1-5) or step (*/2)")
        values = [_value(word, least, names) for word in found.group(2, 3) if word]
        if any(value is None or not least <= value <= greatest for value in values):
            raise InputError(f"{OPTION} {text!r}: {name}: {part!r} is not within {least} to {greatest}")
        if values != sorted(values) or found[4] == "0":
            raise InputError(f"{OPTION} {text!r}: {name}: {part!r} is no range, or its step is 0")
        parts.append(part)
    return ",".join(parts)


def _value(word: str, least: int, names: list[str]) -> int | None:
    if word in names:
        return least + names.index(word)
    return int(word) if word.isdigit() else None
