"""`globe evaluate`, `score` and `compare`: ask a served model, score its answers, compare two evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from globe.cli.options import JsonFlag, Overrides, PromptFile, RecipeName, some_path
from globe.console import emit, tell, to_json


def evaluate(
    url: Annotated[str, typer.Option(help="Base URL of a served model, ending in /v1.")],
    model: Annotated[str, typer.Option(help="Name of the served model.")],
    dataset: Annotated[
        Path,
        typer.Option(
            parser=some_path, metavar="PATH", help="Dataset or curated folder, folder of photos, or CSV/TSV with id, lat, lon."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(parser=some_path, metavar="FOLDER", help="Folder for predictions.jsonl, metrics.json and report.html."),
    ],
    images: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FOLDER", help="Folder of the table's images [the table's own]."),
    ] = None,
    recipe: RecipeName = "",
    settings: Overrides = None,
    prompt: PromptFile = None,
    no_cot: Annotated[bool, typer.Option("--no-cot", help="Ask for the place alone, without reasoning before it.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a served model about each picture, score its answers. If interrupted, run it again to resume.

    A folder belongs to one question: another model, prompt, decoding or dataset needs another --out.
    The key of a hosted server comes from the environment: GLOBE_API_KEY.
    """
    from globe.asking.client import find_model
    from globe.asking.journal import alone
    from globe.console import waiting
    from globe.data.ingest import dataset_of
    from globe.errors import InputError
    from globe.evaluation.evaluate import Endpoint, files_of
    from globe.evaluation.evaluate import evaluate as run
    from globe.evaluation.show import summary_lines
    from globe.evaluation.usage import checkpoint_of, evaluation_recipe, read_prompt, warn
    from globe.files import output_folder, writing_to
    from globe.recipes.load import parse_overrides
    from globe.run.events import Reporter

    if prompt and no_cot:
        raise InputError("give either --prompt or --no-cot, which is a prompt of its own")
    overrides = parse_overrides(settings or []) | ({"reasoning": False} if no_cot else {})
    text = read_prompt(prompt) if prompt else ""
    evaluation_recipe(None, None, recipe, overrides)  # report a mistake before asking the server
    served = find_model(url, model)
    made = checkpoint_of(served)
    loaded, why = evaluation_recipe(made, served, recipe, overrides, text)
    tell(f"asked with {why}")
    warn(made)
    reporter = Reporter("evaluate", output_folder(out) / "evaluate.log")
    endpoint = Endpoint(url, served, made.digest if made else "")
    with alone(out), writing_to(out):
        with waiting(f"{dataset}: reading"):
            pictures = dataset_of(dataset, out / "source", reporter, images)
        metrics = run(endpoint, pictures, out, loaded, reporter.progress)
    for warning in metrics["warnings"]:
        tell(warning)
    emit([to_json(metrics)] if as_json else [*summary_lines(metrics), *files_of(out)])


def score(
    truth: Annotated[Path, typer.Option(parser=some_path, metavar="FILE", help="CSV: id, lat, lon [, country, city].")],
    predictions: Annotated[
        Path, typer.Option(parser=some_path, metavar="FILE", help="CSV: id and any of answer | country, city | lat, lon.")
    ],
    rounds: Annotated[int, typer.Option(min=0, max=100_000, help="Bootstrap rounds for the 95% intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Score predictions against the truth. Accuracy within 1, 25, 200, 750 and 2500 km, distances, GeoScore, name matches."""
    from globe.evaluation.metrics import summarize
    from globe.evaluation.show import summary_lines
    from globe.evaluation.tables import read_scored

    summary = summarize(read_scored(truth, predictions), rounds=rounds, seed=seed)
    emit([to_json(summary, indent=2)] if as_json else summary_lines(summary))


def compare(
    a: Annotated[Path, typer.Argument(parser=some_path, metavar="A", help="Evaluation folder, such as the baseline's.")],
    b: Annotated[Path, typer.Argument(parser=some_path, metavar="B", help="Evaluation folder of the same dataset.")],
    rounds: Annotated[int, typer.Option(min=1, max=100_000, help="Bootstrap rounds for the 95% intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Compare two evaluations of the same pictures. Differences B minus A with intervals, and a verdict."""
    from globe.evaluation.compare import compare as paired
    from globe.evaluation.predictions import read_predictions
    from globe.evaluation.show import comparison_lines

    result = paired(read_predictions(a), read_predictions(b), rounds=rounds, seed=seed)
    emit([to_json(result, indent=2)] if as_json else comparison_lines(result))


COMMANDS = (evaluate, score, compare)
