"""`globe evaluate`, `score` and `compare`: ask a served model, score its answers, compare two evaluations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from globe.cli.options import JsonFlag, Overrides, PromptFile, RecipeName, some_path, some_source
from globe.console import emit, tell, to_json, waiting


def evaluate(
    dataset: Annotated[
        str,
        typer.Option(
            parser=some_source,
            metavar="NAME|PATH",
            help="Data set, such as im2gps3k or im2gps3k@PLACE; dataset or curated folder; photos; table with id, lat, lon.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(parser=some_path, metavar="FOLDER", help="Folder for predictions.jsonl, metrics.json and report.html."),
    ],
    url: Annotated[str, typer.Option(help="Base URL of a served model, ending in /v1; GLOBE_API_KEY is its key.")] = "",
    model: Annotated[str, typer.Option(help="Name of the served model [the first one].")] = "",
    checkpoint: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FOLDER", help="Serve this checkpoint for the evaluation, instead of --url."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Ask about N pictures only, drawn evenly from all of them.")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            parser=some_source, metavar="PLACE", help="Folder, zip, tar or s3:// of the table's images [the table's own folder]."
        ),
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
    from globe.asking.journal import alone
    from globe.data.ingest import dataset_of
    from globe.data.named import resolve
    from globe.errors import InputError
    from globe.evaluation.answering import answering, digest_of, given
    from globe.evaluation.evaluate import Endpoint, files_of
    from globe.evaluation.evaluate import evaluate as run
    from globe.evaluation.expected import expected_lines
    from globe.evaluation.first_look import look_line
    from globe.evaluation.show import summary_lines
    from globe.evaluation.usage import evaluation_recipe, read_prompt, serving_name
    from globe.files import output_folder, writing_to
    from globe.recipes.load import parse_overrides
    from globe.run.events import Reporter

    if prompt and no_cot:
        raise InputError("give either --prompt or --no-cot, which is a prompt of its own")
    overrides = parse_overrides(settings or [])
    flags: dict[str, Any] = {"reasoning": False, "prompt": ""} if no_cot else {}  # a recipe's prompt may ask for reasons
    flags |= {"limit": limit} if limit else {}
    for twice in sorted(flags.keys() & overrides):
        raise InputError(f"--set {twice}: {'--limit' if twice == 'limit' else '--no-cot'} says it already; give one of them")
    overrides |= flags
    text = read_prompt(prompt) if prompt else ""
    place = given(url, model, checkpoint, serving_name(recipe) if checkpoint else "")
    planned, _ = evaluation_recipe(place.checkpoint, None, recipe, overrides)  # a mistake is told before a server is started
    reporter = Reporter("evaluate", output_folder(out) / "evaluate.log")
    with alone(out), writing_to(out):
        with waiting(f"{dataset}: reading"):
            source = resolve(dataset, images or "")
            pictures = dataset_of(source, out / "source", reporter, max_unusable_percent=planned.max_unusable_percent)
        with answering(place) as (base_url, served, made):
            loaded, why = evaluation_recipe(made, served, recipe, overrides, text)
            tell(f"asked with {why}")
            metrics = run(Endpoint(base_url, served, digest_of(made)), pictures, out, loaded, reporter.progress)
    for line in (*metrics["warnings"], *look_line(metrics, loaded), *expected_lines(metrics)):
        tell(line)
    emit([to_json(metrics)] if as_json else [*summary_lines(metrics), *files_of(out)])


def score(
    truth: Annotated[
        Path,
        typer.Option(
            parser=some_path,
            metavar="FILE",
            help="CSV: id, lat, lon [, country, city; for slices localizable, scene; for intervals photographer].",
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            parser=some_path,
            metavar="FILE",
            help="CSV: id and any of answer | country, city | lat, lon; or an evaluation's predictions.jsonl.",
        ),
    ],
    rounds: Annotated[int, typer.Option(min=0, max=100_000, help="Bootstrap rounds for means and medians.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Score predictions against the truth. Accuracy within 1, 25, 200, 750 and 2500 km, distances, GeoScore, name matches.

    Each with its 95% interval, for all and by continent, country and size of the city. An answer that is placed only by its
    country counts within 750 and 2500 km.
    """
    from globe.evaluation.show import summary_lines
    from globe.evaluation.tables import read_scored
    from globe.figures.metrics import summarize

    with waiting(f"{predictions}: scoring"):
        summary = summarize(read_scored(truth, predictions), rounds=rounds, seed=seed)
    emit([to_json(summary, indent=2)] if as_json else summary_lines(summary))


def compare(
    a: Annotated[Path, typer.Argument(parser=some_path, metavar="A", help="Evaluation folder, such as the baseline's.")],
    b: Annotated[Path, typer.Argument(parser=some_path, metavar="B", help="Evaluation folder of the same dataset.")],
    power: Annotated[
        float | None, typer.Option(metavar="POINTS", help="Say how many pictures a difference of so many points needs.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Evaluation recipe, or a YAML file, with the gate's rule [25 km, margin 1].")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of it: gate.margin_percent=2.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100_000, help="Bootstrap rounds for the GeoScore's interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Compare two evaluations of the same pictures. Differences B minus A with 95% intervals, and the gate's verdict.

    promote: B is at most the margin worse. reject: it is worse. inconclusive: more pictures would decide.
    """
    from globe.evaluation.compare import compare as paired
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.evaluation.show import comparison_lines
    from globe.figures.metrics import MAX_FAILED_SHARE, check_answered
    from globe.figures.power import POWER, pictures_for
    from globe.figures.predictions import read_predictions
    from globe.recipes.load import load_recipe, parse_overrides, recipe_from

    overrides = parse_overrides(settings or [])
    asked = (
        load_recipe(EvaluationRecipe, "evaluation", recipe, overrides)
        if recipe
        else recipe_from(EvaluationRecipe, {}, overrides, lambda field: "--set")
    )
    if power is not None:
        pictures_for(power, 0.0)  # report a mistake before reading
    records = {folder: read_predictions(folder) for folder in (a, b)}
    for folder, found in records.items():
        check_answered(found, str(folder), MAX_FAILED_SHARE)
    with waiting(f"{b}: comparing it with {a}"):
        result = paired(records[a], records[b], rounds=rounds, seed=seed, rule=asked.gate)
    if power is not None:
        alike = result["accuracy"][asked.gate.threshold_km]["design_effect"]
        needed = math.ceil(alike * pictures_for(power, result["discordant_percent"] / 100))
        result["power"] = {"points": power, "power_percent": 100 * POWER, "needed_pictures": needed}
    emit([to_json(result, indent=2)] if as_json else comparison_lines(result))


def calibrate(
    evaluation: Annotated[
        Path,
        typer.Argument(parser=some_path, metavar="EVALUATION", help="Folder that globe evaluate wrote, of pictures held out."),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FOLDER", help="Checkpoint that was asked: put the radius beside its manifest."),
    ] = None,
    level: Annotated[float, typer.Option(min=50, max=99.9, help="Percent of the answers to lie within their radius.")] = 90.0,
    as_json: JsonFlag = False,
) -> None:
    """Turn confidence into "within R km with 90%".

    Half of the answers calibrate, the other half measures whether it holds. Writes globe-radius.json, which `globe locate` uses
    where it lies beside a checkpoint.
    """
    from globe.evaluation.radius_file import add_radius, calibrate_evaluation, write_radius
    from globe.evaluation.show_radius import radius_lines
    from globe.files import output_folder, writing_to
    from globe.models.checkpoints import read_checkpoint

    asked = read_checkpoint(checkpoint) if checkpoint else None
    radius = calibrate_evaluation(evaluation, level)
    place = Path(asked.manifest).parent if asked else evaluation
    with writing_to(place):
        written = add_radius(radius, asked) if asked else write_radius(radius, output_folder(place, "EVALUATION"))
    found = radius.model_dump() | {"file": written}
    emit([to_json(found, indent=2)] if as_json else [*radius_lines(radius), f"radius        {written}"])


COMMANDS = (evaluate, score, compare, calibrate)
