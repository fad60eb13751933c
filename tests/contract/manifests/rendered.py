"""Folders of manifests/ as objects: as they are committed, and after somebody has edited an overlay's settings."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

MANIFESTS = Path(__file__).parents[3] / "manifests"
OVERLAYS = sorted(path.parent for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))
SERVING = MANIFESTS / "serving"
BY_HAND = SERVING / "overlays" / "standalone"


def kustomization(folder):
    return yaml.safe_load((folder / "kustomization.yaml").read_text())


def renders(folder):
    """Whether a folder makes objects: not if it only holds settings, or changes those of others."""
    return kustomization(folder)["kind"] == "Kustomization" and folder.name != "settings"


FOLDERS = [path.parent for path in sorted(MANIFESTS.rglob("kustomization.yaml")) if renders(path.parent)]


def each_folder(test):
    return pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(MANIFESTS.parent)))(test)


def each_overlay(test):
    return pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)(test)


@cache
def text_of(folder):
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # such as a warning about a deprecated field
    return done.stdout


def render(folder):
    return list(yaml.safe_load_all(text_of(folder)))


def everything():
    return [document for folder in FOLDERS for document in render(folder)]


def of_kind(folder, kind):
    return [document for document in render(folder) if document["kind"] == kind]


def pod_of(document):
    """Metadata and spec of the pods that a Deployment, or a predictor of KServe's, makes; None for another kind."""
    if document["kind"] == "Deployment":
        return document["spec"]["template"]
    if document["kind"] == "InferenceService":
        predictor = document["spec"]["predictor"]
        spec = {key: value for key, value in predictor.items() if key not in KSERVES}
        return {"metadata": {"labels": predictor["labels"]}, "spec": spec}
    return None


KSERVES = ("minReplicas", "maxReplicas", "timeout", "labels", "deploymentStrategy")
"""What a predictor says beside its pods' spec."""


def named(containers, *names):
    """The one container that has one of these names."""
    (found,) = [container for container in containers if container["name"] in names]
    return found


def edited_serving(overlay, folder, **values):
    """What an overlay of manifests/serving makes, once somebody has set these values."""
    shutil.copytree(SERVING, folder / "serving")
    copy = folder / "serving" / overlay.relative_to(SERVING)
    settings = yaml.safe_load((copy / "settings.yaml").read_text())
    assert values.keys() <= settings["data"].keys()
    settings["data"] |= values
    (copy / "settings.yaml").write_text(yaml.safe_dump(settings))
    return render(copy)


def parts(overlay):
    """The folders of an overlay that are applied one by one."""
    return [folder for folder in FOLDERS if folder == overlay or overlay in folder.parents]


def all_of(overlay):
    return [document for folder in parts(overlay) for document in render(folder)]


def settings_of(overlay):
    return yaml.safe_load((overlay / "settings" / "settings.yaml").read_text())["data"]


def edited(overlay, folder, **values):
    """An overlay in a copy of manifests/, once somebody has set these values."""
    shutil.copytree(MANIFESTS, folder / "manifests")
    copy = folder / "manifests" / overlay.relative_to(MANIFESTS)
    file = copy / "settings" / "settings.yaml"
    settings = yaml.safe_load(file.read_text())
    assert values.keys() <= settings["data"].keys()
    settings["data"] |= values
    file.write_text(yaml.safe_dump(settings))
    return copy


def edited_parts(overlay, folder, **values):
    """All that an edited overlay makes."""
    copy = edited(overlay, folder, **values)
    return [document for part in parts(overlay) for document in render(copy / part.relative_to(overlay))]
