"""The commands of `globe` that work with models and data; registered by `globe.cli`, importing what they need when they run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the recipe.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]


def locate(
    photo: Annotated[Path, typer.Argument(help="JPEG, PNG or WEBP file.")],
    url: Annotated[str, typer.Option(help="Base URL of a served model, ending in /v1.")] = "",
    model: Annotated[str, typer.Option(help="Name of the served model [the first one].")] = "",
    checkpoint: Annotated[Path | None, typer.Option(help="Serve this checkpoint for the one question, instead of --url.")] = None,
    recipe: Annotated[str, typer.Option(help="Evaluation and serving recipe.")] = "demo",
    as_json: JsonFlag = False,
) -> None:
    """Say where a photo was taken, and why."""
    from globe.evaluation.locate import locate as run

    if checkpoint:
        print("starting vLLM for this one question; `globe serve` keeps it running for more ...", file=sys.stderr)
    answer = run(photo, url=url, model=model, checkpoint=checkpoint, recipe=recipe)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        return
    if answer["status"] not in ("ok", "not_geocoded"):
        print(f"no place could be read from the answer ({answer['status']}): {answer['text']}")
        return
    place = ", ".join(part for part in (answer["city"], answer["country"]) if part)
    position = f"{answer['lat_deg']:.4f}, {answer['lon_deg']:.4f}" if answer["status"] == "ok" else "not in the gazetteer"
    confidence = f"  (confidence {answer['confidence']:.0%})" if answer["confidence"] is not None else ""
    print(f"{place}  [{position}]{confidence}\nbecause: {answer['reasoning']}")


def serve(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a checkpoint.")],
    recipe: Annotated[str, typer.Option(help="Serving recipe.")] = "demo",
    name: Annotated[str, typer.Option(help="Name that clients ask for.")] = "globe",
    settings: Overrides = None,
) -> None:
    """Serve a checkpoint with vLLM on this machine until Ctrl-C."""
    import tempfile
    import time

    from globe.serving.process import served
    from globe.serving.recipe import ServingRecipe
    from globe.settings import load_recipe, parse_overrides
    from globe.training.checkpoints import read_checkpoint

    loaded = load_recipe(ServingRecipe, "serving", recipe, parse_overrides(settings or []))
    with tempfile.TemporaryDirectory() as folder:
        print(f"starting vLLM (log: {folder}/serving-{name}.log) ...", file=sys.stderr)
        with served(read_checkpoint(checkpoint), name, loaded, Path(folder)) as server:
            print(f"globe locate PHOTO --url {server.url}", flush=True)
            while True:
                time.sleep(3600)


def curate(
    source: Annotated[Path, typer.Option(help="Folder of geotagged photos, CSV/TSV table, or a dataset folder.")],
    teacher: Annotated[list[str], typer.Option(help="MODEL@URL or coordinates:MODEL@URL; repeat for more.")],
    out: Annotated[Path, typer.Option(help="Folder for the curated sets.")],
    recipe: Annotated[str, typer.Option(help="Curation recipe.")] = "demo",
    settings: Overrides = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be asked, ask nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Annotate photos with teachers, verify the annotations, split what survives."""
    from globe.curation.curate import curate as run
    from globe.curation.curate import plan_curation
    from globe.curation.recipe import CurationRecipe
    from globe.curation.teachers import Teacher, check_teachers
    from globe.events import Reporter
    from globe.settings import load_recipe, parse_overrides

    teachers = [Teacher.parse(spec) for spec in teacher]
    loaded = load_recipe(CurationRecipe, "curation", recipe, parse_overrides(settings or []))
    check_teachers(teachers, loaded.min_entity_support)
    if plan:
        report = plan_curation(source, teachers, loaded)
    else:
        report = run(source, out, teachers, loaded, Reporter("curate", out / "curate.log").progress)
    print(json.dumps(report, ensure_ascii=False, indent=None if as_json else 1))


def evaluate(
    url: Annotated[str, typer.Option(help="Base URL of a served model, ending in /v1.")],
    model: Annotated[str, typer.Option(help="Name of the served model.")],
    dataset: Annotated[Path, typer.Option(help="Dataset folder, or CSV/TSV with id, lat, lon.")],
    out: Annotated[Path, typer.Option(help="Folder for predictions.jsonl, metrics.json and report.html.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the table's images [the table's own].")] = None,
    recipe: Annotated[str, typer.Option(help="Evaluation recipe.")] = "demo",
    settings: Overrides = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask a served model about every picture of a dataset and score the answers; interrupted, it goes on where it was."""
    from globe.curation.ingest import dataset_of
    from globe.data.shards import read_dataset
    from globe.evaluation.evaluate import Endpoint
    from globe.evaluation.evaluate import evaluate as run
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.events import Reporter
    from globe.settings import load_recipe, parse_overrides

    loaded = load_recipe(EvaluationRecipe, "evaluation", recipe, parse_overrides(settings or []))
    data = dataset_of(dataset, out / "source", images)
    reporter = Reporter("evaluate", out / "evaluate.log")
    metrics = run(Endpoint(model, url), list(read_dataset(data)), data, out, loaded, reporter.progress)
    print(json.dumps(metrics, ensure_ascii=False, indent=None if as_json else 1))


COMMANDS = (locate, serve, curate, evaluate)
