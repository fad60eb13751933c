"""Servers in a cluster as tests start them; the fixture `api` (serving/conftest.py) plays the cluster."""

from typing import Any

import pytest

from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Cluster, Place, read_cluster
from globe.serving.recipe import ServingRecipe
from globe.serving.servers import serve

TOKEN = "a-token-that-nobody-must-see"
MODEL = Checkpoint("/mnt/globe/store/model", "", "", "", "", 0)


def in_cluster(**settings: Any) -> Cluster:
    """Cluster settings as a stage reads them."""
    cluster = read_cluster({"server_image": "registry.example/globe-serve:0.1.0"} | settings)
    assert cluster
    return cluster


def start(place: Place | None = None, models: dict[str, Checkpoint] | None = None, **options: Any) -> dict[str, str]:
    """Serve models in a cluster."""
    models = models or {"grpo": MODEL}
    recipe = ServingRecipe(startup_timeout_s=30)
    place = place or Place("run-1", 1, cluster=in_cluster())
    return serve("serving", models, recipe, place, needed=True, reason="", **options)


def failure(*arguments: Any, **options: Any) -> str:
    """The one line that says why models could not be served, without secrets."""
    with pytest.raises(GlobeError) as caught:
        start(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert TOKEN not in text
    return text


def asked(api: Any, method: str) -> list[tuple[str, str]]:
    """What the cluster was asked by a method: kind and name."""
    return [(kind, name) for asked_method, kind, name, *_ in api.requests if asked_method == method]
