"""What a run's trainings are planned to take, and the refusal of one that cannot fit, before any GPU is asked for."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from globe import storage
from globe.data.source import TOY
from globe.errors import InputError
from globe.models.checkpoints import TINY
from globe.recipes.load import load_stage_recipe
from globe.run.cluster import Cluster, amount
from globe.run.preflight import RUN, Plan, Request
from globe.run.stages import RECIPES, STAGES
from globe.serving.recipe import ServingRecipe
from globe.training import plan as trainings
from globe.training.memory import GB
from globe.training.plan_by_hand import free_gb
from globe.training.plan_rows import rows_of
from globe.training.recipe import TrainRecipe
from globe.training.rows import SETS
from globe.training.shapes import ModelShape, model_shape, usual_shape
from globe.training.throughput import gpu_kind

MEMORY_LABEL = "nvidia.com/gpu.memory"
"""Node label with a GPU's memory in MiB, by NVIDIA's feature discovery."""
_NAMED_SIZE = re.compile(r"(?<![0-9])(\d{2,3})GB", re.IGNORECASE)


def training_plans(request: Request, plan: Plan, cluster: Cluster | None) -> dict[str, trainings.Plan]:
    """The plans of the trainings that a run asks GPUs for, by stage; without those of models whose shape is not known.

    Args:
        request: What the run is asked to do.
        plan: Which of its stages run.
        cluster: The cluster's settings; None on a laptop.
    """
    found = {}
    for stage, state in plan.states.items():
        gpus = request.gpus.get(stage, 0) * (cluster.nodes_of(stage) if cluster else 1)
        if state != RUN or not gpus:
            continue
        recipe: Any = _recipe(request, stage)
        assert isinstance(recipe, TrainRecipe)
        shape = _shape(request, recipe, stage)
        if shape is None:
            continue
        labels = request.node_selectors.get(stage, {})
        rows, at_most = _rows(request, stage)
        known: dict[str, Any] = {"at_most": at_most, "serving": _serving(request), "free_disk_gb": _free_gb(request)}
        known["host_memory_gb"] = _host_gb(cluster, stage) if cluster else None
        kind = gpu_kind(labels)
        card = card_gb(labels) or (cluster.gpu_memory_gb if cluster else 0.0)
        found[stage] = trainings.plan(stage, recipe, shape, gpus, card, rows, kinds=(kind,) if kind else (), **known)
    return found


def refuse_what_cannot_fit(plans: Mapping[str, trainings.Plan]) -> None:
    """Refuse a run one of whose trainings cannot fit.

    Raises:
        InputError: Names the stage, and why.
    """
    for stage, plan in plans.items():
        if not plan.fits:
            raise InputError(f"{stage}: does not fit on {plan.gpus} GPUs: {'; '.join(plan.reasons)}")


def card_gb(labels: Mapping[str, str]) -> float:
    """Memory of the GPUs that node labels choose, in GB as a card's name has them; 0 if they do not say."""
    try:
        if 0 < (mebibytes := float(labels.get(MEMORY_LABEL, 0))) < math.inf:
            return mebibytes / 1024
    except ValueError:
        pass
    # The card's own labels first: another may tell a disk's size.
    cards_first = sorted(labels, key=lambda name: "gpu" not in name and "accelerator" not in name)
    return next((float(size[1]) for name in cards_first if (size := _NAMED_SIZE.search(str(labels[name])))), 0.0)


def _host_gb(cluster: Cluster, stage: str) -> float:
    """Memory of all pods that a stage trains in, in decimal GB."""
    return amount(cluster.size_of(stage, STAGES[stage].size).memory) * cluster.nodes_of(stage) / GB


def _recipe(request: Request, stage: str) -> Any:
    return load_stage_recipe(RECIPES[stage], stage, request.recipes, request.overrides)


def _shape(request: Request, recipe: TrainRecipe, stage: str) -> ModelShape | None:
    """The model's shape: by its own config.json if that can be read, else the one that the recipe was written for."""
    try:
        if request.base_model and (request.base_model == TINY or storage.exists(f"{request.base_model}/config.json")):
            return model_shape(request.base_model)
        return usual_shape(recipe.model_type, request.recipes[stage])
    except InputError:
        return None


def _rows(request: Request, stage: str) -> tuple[int | None, bool]:
    """How many rows a stage trains on as far as that is known, and whether curation may keep fewer."""
    if stage == "reward_model":  # depends on how many verdicts are "no"
        return None, False
    if curated := request.start_from.get("curation"):
        return rows_of(f"{curated.rstrip('/')}/{SETS[stage]}"), False
    rows = rows_of(request.source) if request.source and request.source != TOY else None
    return rows, rows is not None


def _serving(request: Request) -> tuple[str, int] | None:
    recipe = _recipe(request, "serving") if "serving" in request.recipes else None
    return (request.recipes["serving"], recipe.max_model_len) if isinstance(recipe, ServingRecipe) else None


def _free_gb(request: Request) -> float | None:
    """Free space of a store that is a folder here; None where it is elsewhere, such as on a claim that this machine lacks."""
    here = request.store and not storage.address_of(request.store) and Path(request.store).exists()
    return free_gb(request.store) if here else None
