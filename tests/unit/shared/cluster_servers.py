"""Servers in a cluster as tests start them; the fixture `api` (kube_double.py) plays the cluster."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Cluster, Place, read_cluster
from globe.serving.recipe import ServingRecipe
from globe.serving.servers import serve

TOKEN = "a-token-that-nobody-must-see"
_FOLDER = tempfile.TemporaryDirectory(prefix="globe-claim")
CLAIM = Path(_FOLDER.name)
"""What stands for the claim: servers' keys are written there."""
STORE = CLAIM / "store"
MODEL = Checkpoint(str(STORE / "model"), "", "", "", "", 0, {"model.safetensors": "0"})


def in_cluster(**settings: Any) -> Cluster:
    """Cluster settings as a stage reads them."""
    default = {"server_image": "registry.example/globe-serve:0.1.0", "mount_path": str(CLAIM)}
    cluster = read_cluster(default | settings)
    assert cluster
    return cluster


def place(run: str = "run-1", gpus: int = 0, store: Path = STORE, **settings: Any) -> Place:
    """Where a run serves in a cluster."""
    return Place(run, gpus, cluster=in_cluster(**settings), store=str(store))


def start(where: Place | None = None, models: dict[str, Checkpoint] | None = None, **options: Any) -> dict[str, str]:
    """Serve models in a cluster."""
    models = models or {"grpo": MODEL}
    recipe = ServingRecipe(startup_timeout_s=30)
    return serve("serving", models, recipe, where or place(gpus=1), needed=True, reason="", **options)


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


def placing(deployment: Any) -> dict[str, Any]:
    """What decides where a server's pod may run, what it gets there and how its engine serves; not whom it serves, nor what."""
    pod = deployment["spec"]["template"]["spec"]
    engine = pod["containers"][0]
    (shm,) = [volume for volume in pod["volumes"] if volume["name"] == "shm"]
    return {
        "nodes": pod.get("nodeSelector"),
        "tolerations": pod["tolerations"],
        "pull_secrets": pod.get("imagePullSecrets"),
        "image": (engine["image"], engine.get("imagePullPolicy")),
        "resources": engine["resources"],
        "shm": shm,
        "arguments": engine["args"][engine["args"].index("--dtype") :],  # before it are model, name, host and port
        "environment": [one for one in engine["env"] if not one["name"].startswith("GLOBE_")],
        "queue": deployment["metadata"]["labels"].get("kueue.x-k8s.io/queue-name"),
    }
