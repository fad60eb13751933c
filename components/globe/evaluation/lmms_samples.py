"""Read the samples file of lmms-eval, in which any model that lmms-eval runs leaves its answers.

`lmms-eval --log_samples` writes DATE_samples_TASK.jsonl, one answer a line: doc_id, target, filtered_resps (the text, or a list
of texts) and more. The target of globe's own tasks (:mod:`globe.evaluation.lmms_tasks`) is JSON that holds the picture's id. A
failed call is not told from an answer, but for the text that lmms-eval puts in its place.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from globe.answer.locate import locate
from globe.data.tables import read_json_lines
from globe.errors import InputError

SHAPE = {"doc_id", "target", "filtered_resps"}
"""What every line has."""
NOT_ANSWERED = ("[LMMS_EVAL_REQUEST_FAILED", "[LMMS_EVAL_BUDGET_EXCEEDED]")
"""How a text begins that lmms-eval wrote itself, in the place of an answer that it did not get."""
ID_COLUMNS = ("id", "IMG_ID", "image_id", "img_id")
"""Where the id of a picture is if the samples file holds the data set's row, as those of other tasks may."""


def is_samples(record: Mapping[str, Any]) -> bool:
    """Whether a file's first record is one of lmms-eval's."""
    return record.keys() >= SHAPE


def read_samples(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The answers as predictions without their truth, each with its file and row.

    Raises:
        InputError: A line has no id, no answer, or several.
    """
    for where, record in read_json_lines(path):
        yield where, {"id": _identity(where, record), **prediction_of_text(_answer(where, record))}


def prediction_of_text(text: str) -> dict[str, Any]:
    """What a text of lmms-eval's says: the fields of a prediction that follow from the answer alone."""
    if text.lstrip().startswith(NOT_ANSWERED):
        status, error = "call_failed", text.strip()
        return {"status": status, "answer": "", "error": error} | dict.fromkeys(("country", "city", "lat_deg", "lon_deg"))
    found = locate(text)
    return {
        "status": found.status,
        "answer": text,
        "country": found.country or None,
        "city": found.city or None,
        "level": found.level,
        "lat_deg": found.place.lat_deg,
        "lon_deg": found.place.lon_deg,
    }


def _identity(where: str, record: Mapping[str, Any]) -> str:
    """The picture's id: that of the target, that of the data set's row, or else the number of the row in the data set."""
    rows = [row for row in (_target(record), record.get("doc")) if isinstance(row, dict)]
    for value in (*(row.get(name) for row in rows for name in ID_COLUMNS), record.get("doc_id")):
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    raise InputError(f"{where}: neither target nor doc_id says which picture this is; run lmms-eval with a task of globe's")


def _target(record: Mapping[str, Any]) -> Any:
    """The target of a task of ours, read; None for any other."""
    try:
        return json.loads(record["target"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _answer(where: str, record: Mapping[str, Any]) -> str:
    """The one text of a line; lmms-eval leaves the list around it away if it is the only one."""
    texts = record.get("filtered_resps")
    while isinstance(texts, list) and len(texts) == 1:
        texts = texts[0]
    if isinstance(texts, str):
        return texts
    if isinstance(texts, list) and texts:
        raise InputError(
            f"{where}: filtered_resps holds {len(texts)} answers; run lmms-eval without --repeats, so that it is one"
        )
    raise InputError(f"{where}: filtered_resps holds no answer but {texts!r:.40}; run lmms-eval again with --log_samples")
