"""The photos that a user names, one by one or by the folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from globe.errors import InputError
from globe.printable import one_line

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
KINDS_TOLD = 5


def photos_in(given: Iterable[Path], note: Callable[[str], None]) -> list[Path]:
    """The files, and those below the folders that look like photos, each folder's in the order of their names.

    Hidden files and folders are left out, and links to folders are not followed.

    Args:
        given: Files and folders.
        note: Told how many other files of which kind are in a folder.

    Raises:
        InputError: There is no photo in a folder, or it cannot be read.
    """
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)  # what is not there is told with the others that cannot be used
            continue
        below = list(_below(path))
        photos = [file for file in below if file.suffix.lower() in ENDINGS]
        others = _kinds(file for file in below if file.suffix.lower() not in ENDINGS)
        if not photos:
            there = f"; there are {others}" if others else ""
            raise InputError(f"{path}: no photo in this folder; photos end in {', '.join(ENDINGS)}{there}")
        if others:
            note(f"{path}: left out {others}; photos end in {', '.join(ENDINGS)}")
        found += photos
    return found


def _below(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None

    for root, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(root) / name


def _kinds(files: Iterable[Path]) -> str:
    """How many files of which ending, the most frequent first; empty for none."""
    counts = Counter(one_line(file.suffix.lower()) or "without an ending" for file in files)
    told = [f"{count:,} {ending}" for ending, count in counts.most_common(KINDS_TOLD)]
    rest = counts.total() - sum(count for _, count in counts.most_common(KINDS_TOLD))
    return ", ".join([*told, *([f"{rest:,} others"] if rest else [])])
