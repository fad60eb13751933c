"""What the lmms-eval tasks in lmms_eval/ call: globe's pictures, prompt and figures, in the forms that lmms-eval wants.

lmms-eval (https://github.com/EvolvingLMMs-Lab/lmms-eval) loads the tasks by its `--include_path`, which `globe lmms-eval` prints.
It opens one line of JSON that names the data set; from that `open_data_set` makes the real one, as `globe evaluate --dataset`
would, so that pictures come from wherever they are on this machine. A figure that lmms-eval prints is the one that `globe score`
computes from the same answers. One thing it cannot know: whether the limit on tokens cut an answer off, for lmms-eval does not
tell.
"""

import hashlib
import json
import os
import statistics
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from globe.answer.prompt import PROMPT
from globe.data.images import check_pixels
from globe.data.ingest import dataset_of, photos_of
from globe.data.named import resolve
from globe.data.shards import dataset_digest, read_dataset
from globe.errors import InputError
from globe.evaluation.lmms_samples import prediction_of_text
from globe.figures.metrics import NO_PREDICTION, table_of
from globe.geo.distance import THRESHOLDS_KM, geoscore
from globe.geo.layout import default_path
from globe.run.events import Reporter

INCLUDE_PATH = Path(__file__).with_name("lmms_eval")
DATASET_VARIABLE, IMAGES_VARIABLE = "GLOBE_DATASET", "GLOBE_IMAGES"
"""What the task `globe` is to be about, as `--dataset` and `--images` of `globe evaluate` say it."""
PROMPT_VARIABLE = "GLOBE_PROMPT"
"""A file whose text is asked instead of the default prompt: the one that a model was trained with."""
TRUTH = ("id", "country", "city", "lat_deg", "lon_deg")

_one_at_a_time = threading.Lock()  # lmms-eval judges in several threads; the gazetteer is for one


def open_data_set(named: Any) -> Any:
    """The pictures and their true places.

    Args:
        named: What lmms-eval has opened: one row whose `data_set` is a name that globe knows, or empty for what the user gives.

    Raises:
        InputError: Nothing is given, or it is not there.
    """
    import datasets  # comes with lmms-eval

    text, images = named[0]["data_set"] or os.environ.get(DATASET_VARIABLE, ""), os.environ.get(IMAGES_VARIABLE, "")
    if not text:
        raise InputError(f"{DATASET_VARIABLE} is not set; set it to what `globe evaluate --dataset` would be given")
    source = resolve(text, images)
    origin = hashlib.sha256(json.dumps(photos_of(source), default=str).encode()).hexdigest() if not source.is_dataset else ""
    made = default_path().parent / "lmms-eval" / origin[:16]
    made.parent.mkdir(parents=True, exist_ok=True)
    folder = dataset_of(source, made, Reporter("lmms-eval", made.with_suffix(".log")))
    kinds = {name: datasets.Value("float64" if name.endswith("_deg") else "string") for name in TRUTH}
    return datasets.Dataset.from_generator(
        _rows,
        features=datasets.Features({**kinds, "image": datasets.Image()}),
        gen_kwargs={"folder": str(folder), "digest": dataset_digest(folder)},
    )


def _rows(folder: str, digest: str) -> Iterator[dict[str, Any]]:
    """A data set's rows; the digest is only an argument because lmms-eval keeps what was made of the same arguments."""
    for row in read_dataset(Path(folder)):
        check_pixels(f"row {row.id!r}: its picture", row.image)
        yield {name: getattr(row, name) for name in TRUTH} | {"image": {"bytes": row.image, "path": None}}


def picture_of(doc: Mapping[str, Any]) -> list[Any]:
    """The picture, as lmms-eval wants it: in a list."""
    return [doc["image"].convert("RGB")]


def prompt_of(doc: Mapping[str, Any]) -> str:
    """The text that is asked after the picture."""
    from globe.evaluation.usage import read_prompt  # late: it knows much else

    file = os.environ.get(PROMPT_VARIABLE, "")
    return read_prompt(Path(file)) if file else PROMPT


def truth_of(doc: Mapping[str, Any]) -> str:
    """Where the picture was taken, as JSON; lmms-eval writes it beside each answer."""
    return json.dumps({name: doc[name] for name in TRUTH}, ensure_ascii=False)


def figures_of(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """How good one answer is: a value for each figure, from which lmms-eval makes the figure of all, and its standard error.

    Args:
        doc: The picture's row.
        results: What the model wrote, in a list.

    Returns:
        The value of each metric of the tasks: 0 or 100 percent, points, or kilometres (None without a position).
    """
    record = {"id": doc["id"], **prediction_of_text(results[0]), "truth": {name: doc[name] for name in TRUTH}}
    with _one_at_a_time:
        table = table_of([record])
    km = float(table.km[0])
    within = {f"within_{limit}_km": table.counted_km[0] <= limit for limit in THRESHOLDS_KM}
    country_right, city_right = table.names[0][:2]
    shares = within | {
        "country_match": country_right,
        "city_match": city_right,
        "parsed": table.statuses[0] not in NO_PREDICTION,
        "failed": not np.isfinite(km),
    }
    return {name: 100.0 * bool(true) for name, true in shares.items()} | {
        "geoscore": float(geoscore(table.km)[0]),
        "median_km": km if np.isfinite(km) else None,
    }


def percent(values: Sequence[float]) -> float:
    """The mean of percentages, with the digits that `globe score` has."""
    return round(float(np.mean(values)), 4)


def mean_points(values: Sequence[float]) -> float:
    """The mean GeoScore, likewise."""
    return round(float(np.mean(values)), 2)


def median_km(values: Sequence[float | None]) -> float | None:
    """The median distance, in which an answer without a position is infinitely far; None if half of them are."""
    median = statistics.median(np.inf if value is None else value for value in values)
    return round(median, 3) if np.isfinite(median) else None
