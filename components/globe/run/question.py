"""A folder of results belongs to one question, so that the answers to two questions never get mixed."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from globe import storage
from globe.errors import InputError
from globe.files import json_text, write_json

QUESTION_FILE = "question.json"
MAX_TOLD_CHARS = 60

Question = Mapping[str, Any]


def _equal(name: str, earlier: Question, now: Question) -> bool:
    return bool(earlier.get(name) == now.get(name))


def claim(place: Path | str, question: Question, same: Callable[[str, Question, Question], bool] = _equal) -> None:
    """Claim a folder for a question, or check that it is already this question's.

    Args:
        place: The folder, which the caller has made, or an s3:// URI.
        question: Everything that decides the results, by name.
        same: Whether two questions agree in the part with this name. If they do, what is empty now is kept as it was before.

    Raises:
        InputError: The folder belongs to another question; says what differs.
    """
    path = f"{str(place).rstrip('/')}/{QUESTION_FILE}"
    # S3 is only asked if the place was given as an address: a stage's mirrored folder is uploaded as a whole when it ends.
    elsewhere = storage.address_of(place) is not None
    if storage.exists(path) if elsewhere else Path(path).exists():
        earlier = _read(path, elsewhere)
        names = [*question, *sorted(earlier.keys() - question.keys())]
        changed = [text for name in names if not same(name, earlier, question) for text in _told(name, earlier, question)]
        if changed:
            raise InputError(f"{place}: belongs to another question ({'; '.join(changed)}); give another folder")
        question = {**question, **{name: value for name, value in earlier.items() if not question.get(name)}}
    if elsewhere:
        storage.write_text(path, json_text(question))
    else:
        write_json(Path(path), question)


def _read(path: str, elsewhere: bool) -> dict[str, Any]:
    try:
        content = json.loads(storage.read_text(path) if elsewhere else Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give another folder") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no question; give another folder")
    return content


def _told(name: str, earlier: Question, now: Question) -> Iterator[str]:
    """What differs between two questions; in mappings, each differing value by itself."""
    before, after = earlier.get(name), now.get(name)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                yield from _told(key, before, after)
        return
    before, after = (" ".join(str(value).split()) for value in (before, after))
    if len(before) > MAX_TOLD_CHARS or len(after) > MAX_TOLD_CHARS:  # such as prompts, which may start the same
        same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
        before, after = (_around(text, same) for text in (before, after))
    yield f"{name.replace('_', ' ')} was {before!r} and is now {after!r}"


def _around(text: str, at: int) -> str:
    start = max(0, at - MAX_TOLD_CHARS // 3)
    part = text[start : start + MAX_TOLD_CHARS]
    return f"{'...' if start else ''}{part}{'...' if start + MAX_TOLD_CHARS < len(text) else ''}"
