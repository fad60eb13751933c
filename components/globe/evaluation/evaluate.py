"""An evaluation: ask a served model about every picture, score its answers, draw the report."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.answer.prompt import PROMPT
from globe.asking.client import LocateClient, Served
from globe.data.rows import Row
from globe.data.shards import dataset_digest
from globe.errors import GlobeError, InputError
from globe.evaluation.expected import expected_figures
from globe.evaluation.first_look import first_look, look_of
from globe.evaluation.metrics import summarize
from globe.evaluation.predictions import PREDICTIONS_FILE, prediction, read_answered, write_predictions
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.reports import write_report
from globe.files import json_line, write_json
from globe.models.checkpoints import Checkpoint
from globe.run.question import QUESTION_FILE, claim

METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"
MAX_FAILED_SHARE = 0.2
"""More failed calls than this is an outage, not a result."""
MAX_CUT_OFF_SHARE = 0.03
"""More answers cut off than this say more about the limit on tokens than about the model."""
QUIET_S = 10.0
"""The longest time for which an evaluation reports nothing."""

Progress = Callable[[int, int, str], None]
"""Called with pictures answered, pictures in all, and a figure."""


@dataclass(frozen=True)
class Endpoint:
    """A served model under evaluation."""

    url: str
    served: Served
    digest: str = ""
    """Its checkpoint's digest, if known."""
    identity: str = ""
    """What the results call it, if the name it is served under only says which part it plays."""


def identity_of(model: Checkpoint) -> str:
    """What a result calls a model: a name that is true in every run that reuses the result."""
    return f"sha256 {model.digest[:12]}"


def headline(metrics: dict[str, Any]) -> str:
    """The two figures that a table has room for, and a warning if answers were cut off."""
    spoilt = f", {metrics['failures']['cut_off']} answers cut off" if metrics["warnings"] else ""
    return f"{metrics['accuracy']['25']:.1f}% within 25 km, {metrics['accuracy']['750']:.1f}% within 750 km{spoilt}"


def evaluate(
    endpoint: Endpoint, rows: list[Row], pictures: Path, out: Path, recipe: EvaluationRecipe, progress: Progress
) -> dict[str, Any]:
    """Evaluate a served model; pictures whose predictions are already in `out` are not asked about again.

    Args:
        endpoint: The model and where it is served.
        rows: Pictures with their truth.
        pictures: The dataset the rows come from, for the report's thumbnails.
        out: Folder for predictions.jsonl, metrics.json and report.html.
        recipe: The recipe, as `asked` returns it for this model.
        progress: Told of the progress.

    Returns:
        The metrics.

    Raises:
        InputError: `out` holds answers to another question.
        GlobeError: Too many calls failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    if (out / PREDICTIONS_FILE).exists() and not (out / QUESTION_FILE).exists():
        raise InputError(
            f"{out}: holds {PREDICTIONS_FILE} but no {QUESTION_FILE}, so it is unknown what was asked; give another folder"
        )
    claim(out, _question(endpoint, pictures, recipe), _agree)
    rows = first_look(rows, recipe)
    done = read_answered(out)
    asyncio.run(_ask_all(endpoint, rows, out / PREDICTIONS_FILE, recipe, done, progress))
    records = [done[row.id] for row in rows]  # in the order of the rows, not of the answers
    name = endpoint.identity or endpoint.served.name
    return write_evaluation(name, records, pictures, out, recipe, endpoint.served.max_model_len)


def _question(endpoint: Endpoint, pictures: Path, recipe: EvaluationRecipe) -> dict[str, Any]:
    """What decides the answers."""
    return {
        "model": endpoint.served.name,
        "checkpoint": endpoint.digest,
        "root": endpoint.served.root,
        "prompt": recipe.prompt or PROMPT,
        "temperature": recipe.temperature,
        "max_tokens": recipe.max_tokens,
        "dataset": dataset_digest(pictures),
        "pictures": look_of(recipe),
    }


def _agree(name: str, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two questions agree in the part with this name; a value that only one of them has is not a difference."""
    if name == "root" and earlier.get("checkpoint") and now.get("checkpoint"):
        return True  # the digest identifies it, wherever it is
    known = [earlier.get(name), now.get(name)]
    return "" in known or None in known or known[0] == known[1]


def write_evaluation(
    model: str, records: list[dict[str, Any]], pictures: Path, out: Path, recipe: EvaluationRecipe, room: int = 0
) -> dict[str, Any]:
    """Score predictions and write predictions.jsonl, metrics.json and report.html.

    Args:
        model: Which model answered.
        records: One `prediction` for each picture.
        pictures: The dataset the pictures come from, for the report's thumbnails.
        out: Folder to write to.
        recipe: How they were asked, and the settings of the bootstrap.
        room: Tokens that the server allows for prompt and answer together; 0 if unknown.

    Returns:
        The metrics.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out, records)
    metrics = summarize(records, rounds=recipe.bootstrap_rounds, seed=recipe.seed)
    metrics |= {"model": model, "warnings": _warnings(records, recipe.max_tokens, room)}
    metrics |= expected_figures(metrics, recipe.expected)
    write_json(out / METRICS_FILE, metrics)
    write_report(out / REPORT_FILE, model, metrics, out, pictures)
    return metrics


def _warnings(records: list[dict[str, Any]], max_tokens: int, room: int) -> list[str]:
    """What readers of the figures must know."""
    cut = sum(record["status"] == "cut_off" for record in records)
    if cut <= MAX_CUT_OFF_SHARE * len(records):
        return []
    more = f"--set max_tokens={2 * max_tokens} (in a run --set evaluation.max_tokens={2 * max_tokens})"
    if max_tokens >= room > 0:
        more = f"a server whose max_model_len is more than {room}"
    share = f"{cut} of {len(records)} answers ({cut / len(records):.0%})"
    return [
        f"{share} were cut off at {max_tokens} tokens before they were complete and count as wrong; {more} allows longer ones"
    ]


async def _ask_all(
    endpoint: Endpoint, rows: list[Row], path: Path, recipe: EvaluationRecipe, done: dict[str, dict[str, Any]], progress: Progress
) -> None:
    """Ask about the rows that are not in `done`, and add each answer there and to the file as it comes.

    Raises:
        GlobeError: So many calls failed that the result would be worthless; the rest is not asked.
    """
    limit = asyncio.Semaphore(recipe.concurrency)
    failed: list[str] = []

    async def ask(row: Row) -> None:
        async with limit:
            location = await client.locate(row.image)
        record = prediction(row, location)
        done[row.id] = record
        file.write(json_line(record))
        file.flush()
        progress(len(done), len(rows), record["status"])
        if record["status"] == "call_failed":
            failed.append(record["error"])
            if len(failed) > MAX_FAILED_SHARE * len(rows):
                raise GlobeError(f"{endpoint.url}: {len(failed)} of {len(rows)} calls failed; the first: {failed[0]}")

    async def say_so_when_nothing_comes() -> None:
        while True:
            before = len(done)
            await asyncio.sleep(QUIET_S)
            if len(done) == before:
                progress(len(done), len(rows), f"no answer for {QUIET_S:.0f} s, still waiting")

    with path.open("a", encoding="utf-8") as file:
        async with LocateClient(endpoint.url, endpoint.served.name, recipe) as client:
            beat = asyncio.create_task(say_so_when_nothing_comes())
            asking = [asyncio.create_task(ask(row)) for row in rows if row.id not in done]
            try:
                await asyncio.gather(*asking)
            finally:
                for task in (beat, *asking):
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await beat
                await asyncio.gather(*asking, return_exceptions=True)


def files_of(out: Path) -> list[str]:
    """Lines that name an evaluation's files and say what each is."""
    files = {"report": REPORT_FILE, "metrics": METRICS_FILE, "predictions": PREDICTIONS_FILE}
    return [f"{name:12}  {out / file}" for name, file in files.items()]
