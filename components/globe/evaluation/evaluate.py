"""An evaluation: ask a served model about every picture, score its answers, draw the report."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from globe.asking.answers import Location, located
from globe.asking.client import Served, find_model
from globe.asking.journal import JOURNAL_FILE, Journal
from globe.asking.recipe import DECODING
from globe.asking.runner import Progress, Run
from globe.asking.samples import consistent
from globe.console import one_line, waiting
from globe.data.rows import Row
from globe.data.shards import dataset_digest
from globe.errors import GlobeError, InputError
from globe.evaluation.circumstances import dataset_facts, manifest, timing
from globe.evaluation.expected import expected_figures
from globe.evaluation.first_look import look_at, look_of, look_size
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.reports import METRICS_FILE, REPORT_FILE, write_report
from globe.figures.metrics import MAX_FAILED_SHARE, summarize
from globe.figures.predictions import PREDICTIONS_FILE, prediction, write_predictions
from globe.files import write_json
from globe.models.checkpoints import Checkpoint
from globe.run.question import QUESTION_FILE, claim

MAX_CUT_OFF_SHARE = 0.03
"""More answers cut off than this say more about the limit on tokens than about the model."""
MIXED_FILE = "journal.mixed.jsonl"
"""Answers of which nobody knows which model gave them."""
MAY_BE_UNKNOWN = ("checkpoint", "root")
"""Parts of a question that a server does not always tell."""


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


def evaluate(endpoint: Endpoint, pictures: Path, out: Path, recipe: EvaluationRecipe, progress: Progress) -> dict[str, Any]:
    """Evaluate a served model; what the journal in `out` already answers is not asked again.

    Args:
        endpoint: The model and where it is served.
        pictures: The dataset; its pictures are read as they are sent.
        out: Folder for the results; whoever calls keeps it for one run with `globe.asking.journal.alone`.
        recipe: The recipe, as `asked` returns it for this model.
        progress: Told of the progress.

    Returns:
        The metrics.

    Raises:
        InputError: `out` holds answers to another question.
        GlobeError: Too many calls failed, or the server has begun to serve another model meanwhile.
    """
    out.mkdir(parents=True, exist_ok=True)
    held = next((name for name in (PREDICTIONS_FILE, JOURNAL_FILE) if (out / name).exists()), "")
    if held and not (out / QUESTION_FILE).exists():
        raise InputError(f"{out}: holds {held} but no {QUESTION_FILE}, so it is unknown what was asked; give another folder")
    claim(out, _question(endpoint, pictures, recipe), _agree)
    truths: list[Row] = []
    with Journal(out) as journal:
        served = endpoint.served
        run = Run(endpoint.url, served.name, recipe, journal, progress, key=served.key, digest=served.digest)
        run.ask(_noting(truths, look_at(pictures, recipe)), look_size(pictures, recipe), MAX_FAILED_SHARE)
    _require_one_model(endpoint, out)
    records = [prediction(row, _answer(run, row)) for row in truths]  # in the order of the rows, not of the answers
    model = endpoint.identity or endpoint.served.name
    facts = {
        "manifest": manifest(endpoint.url, model, endpoint.digest, recipe, dataset_digest(pictures), served.key),
        "timing": timing(records, journal.busy_s),
        **dataset_facts(pictures),
    }
    with waiting("scoring the answers and drawing the report"):
        return write_evaluation(model, records, pictures, out, recipe, endpoint.served.max_model_len, facts)


def _require_one_model(endpoint: Endpoint, out: Path) -> None:
    """Refuse answers of two models: a server may have been restarted with another one under the same name.

    Raises:
        GlobeError: It was; the answers are put aside, so that nobody goes on from them.
    """
    before = endpoint.served
    if not before.root:
        return
    try:
        now = find_model(endpoint.url, before.name, before.key)
    except GlobeError:
        return  # it has ended, and gave no answer after that
    if now.root and now.root != before.root:
        (out / JOURNAL_FILE).replace(out / MIXED_FILE)
        raise GlobeError(
            f"{endpoint.url}: serves {one_line(now.root)} as {one_line(before.name)} by now, and served {one_line(before.root)} "
            f"at first, so nobody knows which of the two gave an answer ({out / MIXED_FILE}); evaluate again"
        )


def _noting(truths: list[Row], rows: Iterable[Row]) -> Iterator[Row]:
    """The rows as they come; what is known of each is noted without its picture, so that memory does not grow with them."""
    for row in rows:
        truths.append(row.model_copy(update={"image": b""}))
        yield row


def _answer(run: Run, row: Row) -> Location:
    keys = [(row.id, sample) for sample in range(run.recipe.samples)]
    return consistent([located(run.journal.answered.get(key) or run.failed[key]) for key in keys])


def _question(endpoint: Endpoint, pictures: Path, recipe: EvaluationRecipe) -> dict[str, Any]:
    """What decides the answers."""
    return {
        "model": endpoint.served.name,
        "checkpoint": endpoint.digest,
        "root": endpoint.served.root,
        "url": endpoint.url.rstrip("/"),
        "prompt": recipe.question,
        **{name: getattr(recipe, name) for name in (*DECODING, "seed")},
        "dataset": dataset_digest(pictures),
        "pictures": look_of(pictures, recipe),
    }


def _agree(name: str, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two questions agree in the part with this name."""
    if name in ("root", "url") and earlier.get("checkpoint") and now.get("checkpoint"):
        return True  # the digest identifies the model, wherever it is
    known = [earlier.get(name), now.get(name)]
    if name in MAY_BE_UNKNOWN and not all(known):
        return True
    return bool(known[0] == known[1])


def write_evaluation(
    model: str,
    records: list[dict[str, Any]],
    pictures: Path,
    out: Path,
    recipe: EvaluationRecipe,
    room: int = 0,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Score predictions and write predictions.jsonl, metrics.json and report.html.

    Args:
        model: Which model answered.
        records: One `prediction` for each picture.
        pictures: The dataset the pictures come from, for the report's thumbnails.
        out: Folder to write to.
        recipe: How they were asked, and the settings of the bootstrap.
        room: Tokens that the server allows for prompt and answer together; 0 if unknown.
        facts: Further keys of the metrics: under which circumstances the answers came.

    Returns:
        The metrics.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out, records)
    metrics = summarize(records, rounds=recipe.bootstrap_rounds, seed=recipe.seed)
    metrics |= {"model": model, "warnings": _warnings(records, recipe.max_tokens, room), **(facts or {})}
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


def files_of(out: Path) -> list[str]:
    """Lines that name an evaluation's files and say what each is."""
    files = {"report": REPORT_FILE, "metrics": METRICS_FILE, "predictions": PREDICTIONS_FILE}
    return [f"{name:12}  {out / file}" for name, file in files.items()]
