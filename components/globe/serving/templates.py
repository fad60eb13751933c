"""The objects of manifests/serving as code fills them in: a server alone, as runs have it, and one behind its gateway.

A gateway's folder changes a server's objects by Kubernetes' strategic merge patches, so that `kubectl apply -k` and a stage that
releases a model make the same of the same files. A test holds what is merged here to what kustomize renders.
"""

import copy
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from globe.errors import GlobeError

Manifest = dict[str, Any]

INSIDE = "127.0.0.1"
"""Where an engine listens behind a gateway: inside of its pod only."""
ALONE = ("deployment.yaml", "service.yaml")
"""What runs fill in, in this order."""
PATCHED = ALONE
ADDED = ("peers.yaml", "account.yaml", "disruption.yaml", "networkpolicy.yaml")
"""Files of the gateway's folder: those that change the engine's, and those that it brings besides."""
_KEYS = {"ports": ("containerPort", "port"), "volumeMounts": ("mountPath",), "topologySpreadConstraints": ("topologyKey",)}
_DELETE = {"$patch": "delete"}


def engine() -> tuple[Manifest, Manifest]:
    """Deployment and Service of a server alone (manifests/serving/engine); a copy that the caller may change."""
    deployment, service = (copy.deepcopy(_read("engine", name)) for name in ALONE)
    return deployment, service


def released() -> list[Manifest]:
    """A server behind its gateway (manifests/serving/base).

    Returns:
        Deployment, Service, the peers' Service, ServiceAccount, PodDisruptionBudget and NetworkPolicy; copies.
    """
    patched = [merge(one, _read("gateway", name)) for one, name in zip(engine(), PATCHED, strict=True)]
    for container in patched[0]["spec"]["template"]["spec"]["containers"]:
        if "--host" in container.get("args", ()):
            container["args"][container["args"].index("--host") + 1] = INSIDE
    return [*patched, *(copy.deepcopy(_read("gateway", name)) for name in ADDED)]


def component(name: str, file: str) -> Manifest:
    """A patch of one of manifests/serving/components, to be merged into what is `released`; a copy."""
    return copy.deepcopy(_read(f"components/{name}", file))


def merge(value: Any, patch: Any, field: str = "") -> Any:
    """A value with a strategic merge patch laid over it, as far as manifests/serving needs them.

    Args:
        value: An object, a list or a plain value.
        patch: What it is to become: fields that are null go, lists of named things are merged by name, other lists replaced.
        field: The field that holds it, by which Kubernetes knows what names a list's items.
    """
    if isinstance(value, dict) and isinstance(patch, dict):
        kept = {key: merge(one, patch[key], key) if key in patch else one for key, one in value.items() if _stays(key, patch)}
        return kept | {key: copy.deepcopy(one) for key, one in patch.items() if key not in value and one is not None}
    if isinstance(value, list) and isinstance(patch, list) and all(isinstance(item, dict) for item in [*value, *patch]):
        return _merge_items(value, patch, _KEYS.get(field, ("name",)))
    return copy.deepcopy(patch)


def _stays(key: str, patch: Manifest) -> bool:
    return key not in patch or patch[key] is not None


def _merge_items(items: list[Manifest], patches: list[Manifest], keys: tuple[str, ...]) -> list[Manifest]:
    def name(item: Manifest) -> Any:
        return next((item[key] for key in keys if key in item), None)

    changes = {name(patch): patch for patch in patches}
    gone = {one for one, patch in changes.items() if _DELETE.items() <= patch.items()}
    kept = [merge(item, changes.pop(name(item))) if name(item) in changes else item for item in items if name(item) not in gone]
    return kept + [copy.deepcopy(patch) for one, patch in changes.items() if one not in gone]


@cache
def _read(folder: str, name: str) -> Manifest:
    packaged = Path(sys.prefix) / "share" / "globe" / "serving"
    checkout = Path(__file__).parents[3] / "manifests" / "serving"
    for root in (checkout, packaged):
        if (path := root / folder / name).is_file():
            read: Manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
            return read
    raise GlobeError(f"{folder}/{name} is neither in {checkout} nor in {packaged}; this installation is incomplete")
