"""`globe serve` and `globe clean`: serve a model to ask, end what runs have left serving."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from globe.cli.options import JsonFlag, Overrides, RecipeName, some_path
from globe.console import emit, tell, to_json
from globe.errors import InputError


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


COMMANDS = (serve, clean)
