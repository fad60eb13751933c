"""`globe locate`, `globe serve` and `globe clean`: locate one photo, serve a model to ask, end what runs have left serving."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from globe.cli.options import JsonFlag, Overrides, PromptFile, RecipeName, some_path
from globe.console import emit, one_line, tell, to_json
from globe.errors import InputError


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
    """Serve a checkpoint with vLLM on this machine until Ctrl-C.

    If GLOBE_SERVER_KEY is set, only those who have that key may ask it.
    """
    from globe.evaluation.usage import serving_recipe, warn
    from globe.models.checkpoints import open_model
    from globe.recipes.load import parse_overrides
    from globe.serving.by_hand import serving

    opened = open_model(checkpoint)
    loaded, why = serving_recipe(opened, recipe, parse_overrides(settings or []))
    tell(f"served with {why}")
    warn(opened)
    with serving(opened, name, loaded, keyed=False) as server:
        emit([f"globe locate PHOTO --url {server.url}"])
        while True:
            server.check()
            time.sleep(1)


def clean(
    run: Annotated[
        str, typer.Option("--run", metavar="ID", help="Remove the servers of this run, whether it is over or not.")
    ] = "",
    orphans: Annotated[bool, typer.Option("--orphans", help="Remove the servers of all runs that are over.")] = False,
    namespace: Annotated[str, typer.Option(help="Namespace of the servers [the kubeconfig's, or the pod's own].")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove the servers that runs have left in a cluster."""
    from globe.serving.cleanup import clean_orphans, clean_run
    from globe.serving.kube import connect

    if bool(run) == orphans:
        raise InputError("give either --run ID or --orphans")
    kube = connect(namespace)
    found = clean_run(kube, run, dry_run=dry_run) if run else clean_orphans(kube, dry_run=dry_run, note=tell)
    if not found and not kube.has_namespace():
        raise InputError(f"--namespace {kube.namespace}: the cluster has no such namespace; give the one of the run's servers")
    if as_json:
        removed = [{"kind": one.kind, "name": one.name, "run": one.run, "model": one.model} for one in found]
        emit([to_json({"namespace": kube.namespace, "dry_run": dry_run, "removed": removed})])
        return
    verb = "would remove" if dry_run else "removed"
    emit(f"{verb} {one.kind} {one.name}: {one.model} of run {one.run}" for one in found)
    if not found:
        emit([f"nothing of {f'run {run}' if run else 'a run that is over'} is in namespace {kube.namespace}"])


COMMANDS = (locate, serve, clean)
