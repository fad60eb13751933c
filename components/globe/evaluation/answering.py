"""The model that a command asks: one that a server has already, or a checkpoint that is served while the command runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from globe.asking.client import Served, find_model
from globe.console import tell, waiting
from globe.errors import InputError
from globe.evaluation.usage import checkpoint_of, serving_recipe, warn
from globe.files import file_sha256
from globe.models.checkpoints import Checkpoint, open_model
from globe.served import require_model
from globe.serving.recipe import ServingRecipe

MODEL_NAME = "globe"


@dataclass(frozen=True)
class Given:
    """What the user gave: a model that is served, or a checkpoint and how to serve it."""

    url: str
    served: Served | None
    checkpoint: Checkpoint | None
    """What is to be served, or the checkpoint behind the URL, if that is on this machine and has a manifest."""
    serving: ServingRecipe | None
    """None if nothing is to be served."""


def require_one(url: str, checkpoint: Path | None) -> None:
    """Refuse neither and both.

    Raises:
        InputError: Neither or both of a URL and a checkpoint are given.
    """
    if bool(url) == bool(checkpoint):
        raise InputError("give either --url of a served model, or --checkpoint to have one served for as long as this takes")


def given(url: str, model: str, checkpoint: Path | None, recipe: str = "", overrides: Mapping[str, Any] | None = None) -> Given:
    """Look at what the user gave; starts nothing, so that a mistake is told before anything is spent.

    Args:
        url: Base URL of a served model.
        model: Name of the served model; empty for the server's first one.
        checkpoint: Folder of a checkpoint, or of any Hugging Face model, to serve instead.
        recipe: Serving recipe; empty for what the checkpoint's manifest says, or else the full-size one.
        overrides: Values that replace the serving recipe's.

    Raises:
        InputError: Neither or both of `url` and `checkpoint` are given, a model's name comes with a checkpoint, the folder
            holds no model, or the server has no such one.
        GlobeError: The server does not answer.
    """
    require_one(url, checkpoint)
    if not checkpoint:
        served = find_model(url, model)
        made = checkpoint_of(served)
        warn(made)
        return Given(url, served, made, None)
    if model:
        raise InputError(f"--model {model!r}: names a model of the server at --url; leave it out with --checkpoint")
    opened = open_model(checkpoint)
    serving, why = serving_recipe(opened, recipe, overrides or {})
    tell(f"served with {why}")
    warn(opened)
    return Given("", None, opened, serving)


def digest_of(checkpoint: Checkpoint | None) -> str:
    """What tells a model from any other: its manifest's digest, or that of its files as they are; empty for None."""
    if checkpoint is None or checkpoint.manifest:
        return checkpoint.digest if checkpoint else ""
    with waiting("reading the weights, to tell them from others"):
        files = {path.name: file_sha256(path) for path in Path(checkpoint.uri).iterdir() if path.is_file()}
    return replace(checkpoint, files=files).digest


@contextmanager
def answering(place: Given) -> Iterator[tuple[str, Served, Checkpoint | None]]:
    """The model that answers, for as long as a block runs: its server's URL, its card, and its checkpoint if it is here.

    Raises:
        GlobeError: The checkpoint's server does not start.
    """
    if place.served:
        yield place.url, place.served, place.checkpoint
        return
    from globe.serving.by_hand import serving
    from globe.serving.server_key import model_digest

    assert place.checkpoint  # for `given` found nothing that is served
    assert place.serving
    with serving(place.checkpoint, MODEL_NAME, place.serving) as server:
        found = find_model(server.url, MODEL_NAME, server.key)
        require_model(found.digest, model_digest(place.checkpoint), server.url)
        yield server.url, found, place.checkpoint
