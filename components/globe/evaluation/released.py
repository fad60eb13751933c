"""A checkpoint behind a name that stays: what `globe deploy` is told by hand, and the promote stage by its run."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt

from globe import storage
from globe.errors import GlobeError, InputError
from globe.evaluation.usage import serving_recipe
from globe.models.checkpoints import MANIFEST_FILE, Checkpoint, open_model, read_checkpoint
from globe.recipes.load import BadOverride
from globe.run.cluster import Cluster, Place
from globe.run.events import emit
from globe.run.nodes import check_placing
from globe.serving.kube import connect
from globe.serving.recipe import ServingRecipe
from globe.serving.release import Releases, Wanted, nothing
from globe.serving.release_manifest import Asked, source_of, wanted
from globe.serving.servers import find_launcher

Note = Callable[[str], None]


def opened(place: str, note: Note) -> Checkpoint:
    """The checkpoint at a place that pods see, with what its manifest says where that can be read from here.

    Args:
        place: A path on the claim, an s3:// or an oci:// address.
        note: Told if a change of the weights there could not be seen.

    Raises:
        InputError: That is no such place, nothing lies at the address, or it is no model's.
    """
    unknown = Checkpoint(place, "", "", "", "", 0)
    if place.startswith("/") and Path(place).is_dir():
        return open_model(Path(place))
    if source_of(place) != "s3":
        return unknown
    try:
        names = storage.names_in(place)
    except GlobeError as error:
        note(f"{error}; so from here other weights at the same address look like no change")
        return unknown
    if not names:
        raise InputError(f"{place}: nothing there; check the address")
    if MANIFEST_FILE not in names:
        note(f"{place}: has no {MANIFEST_FILE}, so other weights at the same address look like no change")
        return unknown
    described = {MANIFEST_FILE, "config.json"}  # the second says that the model lies beside the first
    return read_checkpoint(Path(storage.fetch(place, described.intersection)))


class Servers(BaseModel):
    """What a profile's `parameters` say about a run's servers; the others are not needed here."""

    recipes: dict[str, str] = {}
    overrides: dict[str, Any] = {}
    serving_gpus: NonNegativeInt | None = None
    """None for as many as the recipe splits the model over."""
    node_selectors: dict[str, Any] = {}
    tolerations: list[Any] = []

    def recipe(self, checkpoint: Checkpoint, overrides: Mapping[str, Any]) -> tuple[ServingRecipe, str]:
        """How to serve a checkpoint, and why that way: as a run with these parameters does.

        Args:
            checkpoint: The checkpoint, whose manifest says it if the parameters name no recipe.
            overrides: Values that replace the recipe's and the parameters', by dotted key.

        Raises:
            InputError: As `serving_recipe`.
        """
        prefix = "serving."
        own = {key.removeprefix(prefix): value for key, value in self.overrides.items() if key.startswith(prefix)}
        try:
            return serving_recipe(checkpoint, self.recipes.get("serving", ""), own | dict(overrides))
        except BadOverride as error:
            if error.key in overrides:
                raise
            raise BadOverride(f"{prefix}{error.key}", error.reason, "--cluster: parameters.overrides.") from error

    def place(self, recipe: ServingRecipe, cluster: Cluster) -> Place:
        """Where a run with these parameters serves.

        Raises:
            InputError: Kubernetes would not take its labels or tolerations.
        """
        check_placing({name: labels for name, labels in self.node_selectors.items() if name == "serving"}, self.tolerations)
        gpus = recipe.tensor_parallel_size if self.serving_gpus is None else self.serving_gpus
        return Place("", gpus, self.node_selectors.get("serving", {}), self.tolerations, cluster)


def planned(checkpoint: Checkpoint, recipe: ServingRecipe, place: Place, note: Note) -> Wanted:
    """A release of a checkpoint under the name of the cluster's settings.

    Args:
        checkpoint: The checkpoint.
        recipe: How it is served.
        place: GPUs and nodes, and the cluster: name, number of pods and what they may tell (`release`), images, claim and sizes.
        note: Told if its image may become another one.

    Raises:
        InputError: Settings that do not fit together, or a place that no pod sees.
    """
    cluster = place.cluster
    if cluster is None or not cluster.release.name:
        raise InputError("--name: missing; give the name that stays")
    if cluster.server_image and "@sha256:" not in cluster.server_image:
        note(
            f"image {cluster.server_image}: is not named by its digest, so pods that start later may get another one; "
            "NAME@sha256:... is always the same"
        )
    release = cluster.release
    asked = Asked(
        release.name,
        release.replicas or None,
        release.max_precision,
        release.without_keys,
        cluster.server_schedule_timeout_s,
    )
    return wanted(asked, replace(checkpoint, uri=storage.stored_at(checkpoint.uri)), recipe, place)


def serve_promoted(checkpoint: Checkpoint, recipe: ServingRecipe, place: Place, *, still: Callable[[], None] = nothing) -> str:
    """Move the name of the cluster's settings to a promoted checkpoint, as `globe deploy` does; if it is there, nothing changes.

    Args:
        checkpoint: The promoted checkpoint.
        recipe: How the run has served it, and so how its pods go on to.
        place: The run, the GPUs and nodes of its own servers, which are the new pods', too, and its cluster's settings. Its own
            servers are ended first: nobody asks them any more, and the new pods may need their GPUs.
        still: Raises if another one has been promoted meanwhile.

    Returns:
        What is served now, in words; empty where no name is to be moved.

    Raises:
        GlobeError: It did not come up, with its reason; then what was served before still is.
    """
    cluster = place.cluster
    if cluster is None or not cluster.release.name:
        return ""
    note = partial(_note, "promote")
    made = planned(checkpoint, recipe, place, note)
    find_launcher(place).stop()
    changed = Releases(connect(cluster.namespace), note).release(made, in_place=cluster.release.in_place, still=still)
    return f"{made.name} serves release {made.version}{'' if changed else ', as before'}"


def _note(stage: str, text: str) -> None:
    emit(stage, "note", figure=text)
