"""`globe serve` and `globe clean`: serve a model to ask, end what runs have left serving."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from globe.cli.options import JsonFlag, Overrides, RecipeName, some_path
from globe.console import emit, tell, to_json
from globe.errors import InputError

if TYPE_CHECKING:
    from globe.serving.front import Addresses, Front

LOOPBACK, PORT = "127.0.0.1", 8080
"""Where a model is served unless told otherwise: at a fixed port, so that an address that was noted down stays right."""


def serve(
    checkpoint: Annotated[
        Path, typer.Argument(parser=some_path, metavar="CHECKPOINT", help="Folder of a checkpoint, or of a Hugging Face model.")
    ],
    recipe: RecipeName = "",
    name: Annotated[str, typer.Option(help="Name that clients ask for.")] = "globe",
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="GLOBE_GATEWAY_PORT", help="Port of page and API; 0 for any that is free.")
    ] = PORT,
    host: Annotated[
        str, typer.Option(envvar="GLOBE_GATEWAY_HOST", help="Address to listen at; one that others reach needs keys.")
    ] = LOOPBACK,
    keys_file: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FILE", envvar="GLOBE_GATEWAY_KEYS_FILE", help="Who may ask: see globe keys."),
    ] = None,
    max_precision: Annotated[
        str, typer.Option(envvar="GLOBE_GATEWAY_MAX_PRECISION", help="The finest that is told: country, region or city [city].")
    ] = "",
    no_page: Annotated[bool, typer.Option("--no-page", help="The API alone.")] = False,
    bare: Annotated[
        bool, typer.Option("--bare", help="vLLM alone, with its whole chat API: for a judge, or to measure this machine.")
    ] = False,
    settings: Overrides = None,
) -> None:
    """Serve a checkpoint on this machine, until Ctrl-C.

    It starts vLLM and, in front of it, a gateway with an API and a page, and says where they are once they answer. What
    crashes is started again. If GLOBE_SERVER_KEY is set, only those who have that key may ask.
    """
    from globe.evaluation.usage import serving_recipe, warn
    from globe.models.checkpoints import open_model
    from globe.recipes.load import parse_overrides
    from globe.serving.by_hand import require_name
    from globe.serving.front import Front
    from globe.serving.front import serve as run

    require_name(name)
    if bare and (keys_file or max_precision or no_page or host != LOOPBACK):
        raise InputError("--bare has no gateway, so --keys-file, --max-precision, --no-page and --host do not go with it")
    front = None if bare else Front(host, port, keys_file, max_precision, page=not no_page)
    if front:
        _require_possible(front, name)
    opened = open_model(checkpoint)
    loaded, why = serving_recipe(opened, recipe, parse_overrides(settings or []))
    tell(f"served with {why}")
    warn(opened)
    run(opened, name, loaded, front, _say_where, port=port, client_keys=_own_key)


def _own_key(folder: Path) -> Path | None:
    """A file of keys with the one of the user's environment; None if there is none."""
    from globe.gateway.keyfile import make_key

    key = os.environ.get("GLOBE_SERVER_KEY", "").strip()
    if not key:
        return None
    make_key(folder / "keys.json", "GLOBE_SERVER_KEY", given=key)
    return folder / "keys.json"


def _require_possible(front: Front, name: str) -> None:
    """Find mistakes in a gateway's settings before anything is started."""
    from globe.gateway.keyfile import read_keys
    from globe.gateway.settings import read_settings
    from globe.serving.front import is_loopback, own_settings

    told = read_settings(None, own_settings(front, name))
    if told.keys_file and not any(key.state(datetime.now(UTC)) == "active" for key in read_keys(told.keys_file)):
        raise InputError(
            f"--keys-file {told.keys_file}: has no key that opens anything, so nobody could ask; "
            f"make one: globe keys make --name NAME --file {told.keys_file}"
        )
    if not (is_loopback(front.host) or front.keys_file or os.environ.get("GLOBE_SERVER_KEY")):
        raise InputError(
            f"--host {front.host}: whoever reaches this machine could ask; name who may with --keys-file (see `globe keys`), "
            f"or stay at {LOOPBACK}"
        )


def _say_where(addresses: Addresses) -> None:
    page = [f"page    {addresses.page}"] if addresses.page else []
    emit([f"API     {addresses.api}", *page, f"locate  globe locate PHOTO --url {addresses.api}"])


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
