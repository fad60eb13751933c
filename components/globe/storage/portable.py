"""Paths in records: written so that a store can be moved, copied and mirrored without one of them leading elsewhere.

A path below the store is relative, one that mirrors an input on S3 is its address, and any other, such as that of a model which
the user keeps elsewhere, is absolute.
"""

import os
from pathlib import Path

from globe.storage.uris import address_of, input_mirror, place_of


def portable(path: str | Path, root: Path, start: Path | None = None) -> str:
    """A path as a record holds it.

    Args:
        path: The path.
        root: What moves as one with the record: the store.
        start: The folder that paths below the root are relative to; the root by default.

    Returns:
        A relative path, an address on S3, or an absolute path.
    """
    absolute = Path(os.path.abspath(path))
    for here in (absolute, absolute.resolve()):  # the store, or what lies there, may have been reached through a link
        for there in (Path(os.path.abspath(root)), root.resolve()):
            if here.is_relative_to(there):
                inner = there / Path(os.path.relpath(start, root)) if start else there
                return Path(os.path.relpath(here, inner)).as_posix()
    place = place_of(absolute)
    return str(place.uri) if place and place.kind == "inputs" else str(absolute)


def located(text: str, start: Path) -> Path:
    """Where on this machine a path of a record leads: the opposite of `portable`.

    Args:
        text: What the record holds.
        start: The folder that its relative paths start from.
    """
    address = address_of(text)
    return input_mirror(address) if address else Path(os.path.normpath(start / text))
