"""`globe locate` and `globe serve`: locate one photo, and serve a model to ask."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from globe.cli.options import JsonFlag, Overrides, PromptFile, RecipeName, some_path
from globe.console import emit, one_line, tell, to_json


def locate(
    photo: Annotated[Path, typer.Argument(parser=some_path, metavar="PHOTO", help="JPEG, PNG or WEBP file.")],
    url: Annotated[str, typer.Option(help="Base URL of a served model, ending in /v1; GLOBE_API_KEY is its key.")] = "",
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
    from globe.recipes.load import parse_overrides

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
    from globe.evaluation.radius_file import radius_text

    if answer["status"] not in ("ok", "not_geocoded"):
        yield f"no place could be read from the answer ({answer['status'].replace('_', ' ')}): {one_line(answer['text'])}"
        return
    place = one_line(", ".join(part for part in (answer["city"], answer["country"]) if part))
    position = f"{answer['lat_deg']:.4f}, {answer['lon_deg']:.4f}" if answer["status"] == "ok" else "not in the gazetteer"
    confidence = f"  (confidence {answer['confidence']:.0%})" if answer["confidence"] is not None else ""
    yield f"{place}  [{position}]{confidence}"
    if answer["level"] == "country" and answer["city"]:
        yield f"city not found: {one_line(answer['city'])} is not in the gazetteer, so the position is the country's"
    if radius := radius_text(answer):
        yield radius
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
    from globe.models.checkpoints import open_model
    from globe.recipes.load import parse_overrides
    from globe.serving.by_hand import serving

    opened = open_model(checkpoint)
    loaded, why = serving_recipe(opened, recipe, parse_overrides(settings or []))
    tell(f"served with {why}")
    warn(opened)
    with serving(opened, name, loaded) as server:
        emit([f"globe locate PHOTO --url {server.url}"])
        while True:
            server.check()
            time.sleep(1)


COMMANDS = (locate, serve)
