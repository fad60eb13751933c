"""The commands of `globe` that work with models and data; registered by `globe.cli`, importing what they need when they run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from globe.console import emit, one_line, tell, to_json
from globe.options import JsonFlag, Overrides, some_path

if TYPE_CHECKING:
    from collections.abc import Iterator


PromptFile = Annotated[
    Path | None,
    typer.Option("--prompt", parser=some_path, metavar="FILE", help="Text to ask with [the recipe's, the model's own]."),
]
RecipeName = Annotated[str, typer.Option(help="Recipe, or a YAML file [what the model's manifest says, else full size].")]


def locate(
    photo: Annotated[Path, typer.Argument(parser=some_path, metavar="PHOTO", help="JPEG, PNG or WEBP file.")],
    url: Annotated[str, typer.Option(help="Base URL of a served model, ending in /v1.")] = "",
    model: Annotated[str, typer.Option(help="Name of the served model [the first one].")] = "",
    checkpoint: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FOLDER", help="Serve this checkpoint for the one question, instead of --url."),
    ] = None,
    recipe: RecipeName = "",
    settings: Overrides = None,
    prompt: PromptFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Say where a photo was taken, and why."""
    from globe.evaluation.locate import locate as run
    from globe.evaluation.usage import read_prompt
    from globe.settings import parse_overrides

    answer = run(
        photo,
        url=url,
        model=model,
        checkpoint=checkpoint,
        recipe=recipe,
        overrides=parse_overrides(settings or []),
        prompt=read_prompt(prompt) if prompt else "",
    )
    emit([to_json(answer)] if as_json else _located(answer))


def _located(answer: dict[str, Any]) -> Iterator[str]:
    if answer["status"] not in ("ok", "not_geocoded"):
        yield f"no place could be read from the answer ({answer['status'].replace('_', ' ')}): {one_line(answer['text'])}"
        return
    place = one_line(", ".join(part for part in (answer["city"], answer["country"]) if part))
    position = f"{answer['lat_deg']:.4f}, {answer['lon_deg']:.4f}" if answer["status"] == "ok" else "not in the gazetteer"
    confidence = f"  (confidence {answer['confidence']:.0%})" if answer["confidence"] is not None else ""
    yield f"{place}  [{position}]{confidence}"
    yield f"because: {one_line(answer['reasoning'])}"


def serve(
    checkpoint: Annotated[
        Path, typer.Argument(parser=some_path, metavar="CHECKPOINT", help="Folder of a checkpoint, or of a Hugging Face model.")
    ],
    recipe: RecipeName = "",
    name: Annotated[str, typer.Option(help="Name that clients ask for.")] = "globe",
    settings: Overrides = None,
) -> None:
    """Serve a checkpoint with vLLM on this machine until Ctrl-C."""
    from globe.evaluation.usage import serving_recipe, warn
    from globe.serving.by_hand import serving
    from globe.settings import parse_overrides
    from globe.training.checkpoints import open_model

    opened = open_model(checkpoint)
    loaded, why = serving_recipe(opened, recipe, parse_overrides(settings or []))
    tell(f"served with {why}")
    warn(opened)
    with serving(opened, name, loaded) as server:
        emit([f"globe locate PHOTO --url {server.url}"])
        while True:
            server.check()
            time.sleep(1)


def curate(
    source: Annotated[
        Path,
        typer.Option(parser=some_path, metavar="PATH", help="Folder of geotagged photos, CSV/TSV table, or a dataset folder."),
    ],
    teacher: Annotated[list[str], typer.Option(help="MODEL@URL or coordinates:MODEL@URL; repeat for more.")],
    out: Annotated[Path, typer.Option(parser=some_path, metavar="FOLDER", help="Folder for the curated sets.")],
    recipe: Annotated[str, typer.Option(help="Curation recipe, or a YAML file.")] = "mp16",
    settings: Overrides = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be asked, ask nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Annotate photos with teachers, verify, split what survives."""
    from globe.console import waiting
    from globe.curation.curate import curate as run
    from globe.curation.curate import plan_curation
    from globe.curation.recipe import CurationRecipe
    from globe.curation.show import plan_lines, result_lines
    from globe.curation.teachers import Teacher, check_teachers
    from globe.events import Reporter
    from globe.files import output_folder, writing_to
    from globe.settings import load_recipe, parse_overrides

    teachers = [Teacher.parse(spec) for spec in teacher]
    loaded = load_recipe(CurationRecipe, "curation", recipe, parse_overrides(settings or []))
    check_teachers(teachers, loaded.min_entity_support)
    if plan:
        with waiting(f"{source}: reading"):
            planned = plan_curation(source, teachers, loaded)
        emit([to_json(planned)] if as_json else plan_lines(planned))
        return
    tell(f"curation recipe {recipe}: {loaded.timeout_s:g} s a call, {loaded.retries} more attempts; --recipe and --set change it")
    reporter = Reporter("curate", output_folder(out) / "curate.log")
    with writing_to(out), waiting("curating: nothing new") as heard:

        def progress(done: int, total: int, figure: str) -> None:
            heard()
            reporter.progress(done, total, figure)

        result = run(source, out, teachers, loaded, progress)
    emit([to_json(result)] if as_json else result_lines(result, out))


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
    as_json: JsonFlag = False,
) -> None:
    """Ask a served model about every picture, score its answers. Interrupted, it goes on where it was.

    A folder belongs to one question: another model, prompt, decoding or dataset needs another --out.
    """
    from globe.console import waiting
    from globe.curation.ingest import dataset_of
    from globe.data.shards import read_dataset
    from globe.evaluation.client import find_model
    from globe.evaluation.evaluate import Endpoint, files_of
    from globe.evaluation.evaluate import evaluate as run
    from globe.evaluation.show import summary_lines
    from globe.evaluation.usage import checkpoint_of, evaluation_recipe, read_prompt, warn
    from globe.events import Reporter
    from globe.files import output_folder, writing_to
    from globe.settings import parse_overrides

    overrides = parse_overrides(settings or [])
    text = read_prompt(prompt) if prompt else ""
    evaluation_recipe(None, None, recipe, overrides)  # a mistake is told before anybody is asked
    served = find_model(url, model)
    made = checkpoint_of(served)
    loaded, why = evaluation_recipe(made, served, recipe, overrides, text)
    tell(f"asked with {why}")
    warn(made)
    reporter = Reporter("evaluate", output_folder(out) / "evaluate.log")
    endpoint = Endpoint(url, served, made.digest if made else "")
    with writing_to(out):
        with waiting(f"{dataset}: reading"):
            pictures = dataset_of(dataset, out / "source", reporter, images)
        metrics = run(endpoint, list(read_dataset(pictures)), pictures, out, loaded, reporter.progress)
    for warning in metrics["warnings"]:
        tell(warning)
    emit([to_json(metrics)] if as_json else [*summary_lines(metrics), *files_of(out)])


COMMANDS = (locate, serve, curate, evaluate)
