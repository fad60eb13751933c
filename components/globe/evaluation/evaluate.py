"""Stage evaluation: ask the served policy about every held-out picture, score its answers, draw the report."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.data.rows import Row
from globe.data.shards import dataset_digest, read_dataset
from globe.errors import GlobeError
from globe.evaluation.client import LocateClient, Location
from globe.evaluation.metrics import summarize
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import POLICY
from globe.events import Reporter
from globe.files import write_atomically
from globe.geo.distance import distance_km
from globe.stage import Outcome, StageResult, find_finished, run_stage, stage_key, write_json
from globe.training.checkpoints import Checkpoint

CODE = ("evaluation", "geo", "data", "report")
PREDICTIONS_FILE = "predictions.jsonl"
METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"
MAX_FAILED_SHARE = 0.2
"""More failed calls than this is an outage, not a result."""


@dataclass(frozen=True)
class Endpoint:
    """A served model under evaluation."""

    model: str
    """The name it is served under."""
    url: str
    identity: str = ""
    """What it is, where that name says only which part it plays."""


def question_of(policy: Checkpoint, test: Path, recipe: EvaluationRecipe) -> dict[str, Any]:
    """What decides this stage's result: `inputs`, `settings` and `code` of its address."""
    return {
        "inputs": {"test": dataset_digest(test), "policy": policy.digest},
        "settings": recipe.model_dump(exclude={"gate"}),
        "code": CODE,
    }


def find_finished_evaluation(store: Path, policy: Checkpoint, test: Path, recipe: EvaluationRecipe) -> StageResult | None:
    """The result of an earlier call with the same question: then nobody needs the model served."""
    return find_finished(store, "evaluation", stage_key("evaluation", **question_of(policy, test, recipe)))


def evaluate_policy(*, policy: Checkpoint, url: str, test: Path, recipe: EvaluationRecipe, store: Path) -> StageResult:
    """Evaluate the served policy on the held-out pictures.

    Args:
        policy: The checkpoint that is served.
        url: Where.
        test: The held-out dataset.
        recipe: The recipe.
        store: Where stages keep their results.

    Returns:
        The stage's result; a folder `policy` with predictions.jsonl, metrics.json and report.html.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        rows = list(read_dataset(test))
        endpoint = Endpoint(POLICY, url, identity_of(policy))
        metrics = evaluate(endpoint, rows, test, folder / POLICY, recipe, reporter.progress)
        return Outcome(
            figure=f"{len(rows)} pictures: {headline(metrics)}",
            outputs={"folder": str(folder)},
            figures={POLICY: metrics},
            show=str(folder / POLICY / REPORT_FILE),
        )

    return run_stage("evaluation", store=store, work=work, **question_of(policy, test, recipe))


def identity_of(model: Checkpoint) -> str:
    """What a result calls a model: true in every run that reuses the result."""
    return f"sha256 {model.digest[:12]}"


def headline(metrics: dict[str, Any]) -> str:
    """The two figures that a table has room for."""
    return f"{metrics['accuracy']['25']:.1f}% within 25 km, {metrics['accuracy']['750']:.1f}% within 750 km"


def evaluate(
    endpoint: Endpoint, rows: list[Row], pictures: Path, out: Path, recipe: EvaluationRecipe, progress: Any
) -> dict[str, Any]:
    """Evaluate one served model; predictions that are already in `out` are not asked again.

    Args:
        endpoint: The model and its URL.
        rows: Pictures with their truth.
        pictures: The dataset the rows come from, for the report's thumbnails.
        out: Folder for predictions.jsonl, metrics.json and report.html.
        recipe: The recipe.
        progress: Called with done, total and a figure.

    Returns:
        The metrics.

    Raises:
        GlobeError: The server does not answer, or too many calls failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / PREDICTIONS_FILE
    done = _read_predictions(path)
    missing = [row for row in rows if row.id not in done]
    asyncio.run(_ask_all(endpoint, missing, path, recipe, done, len(rows), progress))
    records = [done[row.id] for row in rows]  # the rows' order, whatever order the answers came in
    failed = [record for record in records if record["status"] == "call_failed"]
    if len(failed) > MAX_FAILED_SHARE * len(records):
        raise GlobeError(f"{endpoint.url}: {len(failed)} of {len(records)} calls failed; the first: {failed[0]['text']}")
    return write_evaluation(endpoint.identity or endpoint.model, records, pictures, out, recipe)


def write_evaluation(
    model: str, records: list[dict[str, Any]], pictures: Path, out: Path, recipe: EvaluationRecipe
) -> dict[str, Any]:
    """Score predictions and write predictions.jsonl, metrics.json and report.html.

    Args:
        model: Which model answered.
        records: One `prediction` for each picture.
        pictures: The dataset the pictures come from, for the report's thumbnails.
        out: Folder to write to.
        recipe: For the bootstrap.

    Returns:
        The metrics.
    """
    out.mkdir(parents=True, exist_ok=True)
    _write_predictions(out / PREDICTIONS_FILE, records)
    metrics = summarize(records, rounds=recipe.bootstrap_rounds, seed=recipe.seed)
    metrics |= {"model": model}
    write_json(out / METRICS_FILE, metrics)
    write_report(out / REPORT_FILE, model, metrics, out, pictures)
    return metrics


async def _ask_all(
    endpoint: Endpoint,
    rows: list[Row],
    path: Path,
    recipe: EvaluationRecipe,
    done: dict[str, dict[str, Any]],
    total: int,
    progress: Any,
) -> None:
    limit = asyncio.Semaphore(recipe.concurrency)
    client = LocateClient(
        endpoint.url,
        endpoint.model,
        max_tokens=recipe.max_tokens,
        temperature=recipe.temperature,
        timeout_s=recipe.timeout_s,
        attempts=recipe.attempts,
    )
    async with client:
        if rows:
            await client.served_models()  # an outage is told once, not once a picture
        with path.open("a", encoding="utf-8") as file:

            async def ask(row: Row) -> None:
                async with limit:
                    location = await client.locate(row.image)
                record = prediction(row, location)
                done[row.id] = record
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                file.flush()
                progress(len(done), total, record["status"])

            await asyncio.gather(*(ask(row) for row in rows))


def prediction(row: Row, location: Location) -> dict[str, Any]:
    """One line of predictions.jsonl: the answer beside the truth, with the distance between them."""
    distance = None
    if location.lat_deg is not None and location.lon_deg is not None:
        distance = distance_km(row.lat_deg, row.lon_deg, location.lat_deg, location.lon_deg)
    truth = {"country": row.country, "city": row.city, "lat_deg": row.lat_deg, "lon_deg": row.lon_deg}
    return {
        "id": row.id,
        "status": location.status,
        "text": location.text,
        "country": location.country,
        "city": location.city,
        "lat_deg": location.lat_deg,
        "lon_deg": location.lon_deg,
        "distance_km": distance,
        "confidence": location.confidence,
        "truth": truth | {"localizable": row.localizable},
    }


def read_predictions(folder: Path) -> list[dict[str, Any]]:
    """The predictions of a finished evaluation, in the dataset's order."""
    return list(_read_predictions(folder / PREDICTIONS_FILE).values())


def _read_predictions(path: Path) -> dict[str, dict[str, Any]]:
    records = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # torn by a kill: the picture is asked again
            if record["status"] != "call_failed":
                records[record["id"]] = record
    return records


def _write_predictions(path: Path, records: list[dict[str, Any]]) -> None:
    write_atomically(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def write_report(path: Path, title: str, metrics: dict[str, Any], folder: Path, pictures: Path) -> None:
    """Write the page of an evaluation, for readers who know the model by a title.

    Args:
        path: The HTML file.
        title: What the model is called there.
        metrics: The evaluation's.
        folder: Where its predictions lie.
        pictures: The dataset they are of.
    """
    from globe.report.evaluation_report import write_evaluation_report
    from globe.report.views import EvaluationView

    write_evaluation_report(path, EvaluationView(title, metrics, folder / PREDICTIONS_FILE), pictures)
