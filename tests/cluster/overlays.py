"""Overlays of manifests/ as somebody has them who has edited their settings for a cluster."""

import shutil
from pathlib import Path

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = [path.parent.name for path in sorted(MANIFESTS.glob("overlays/*/kustomization.yaml"))]


def edited(name, folder, **values):
    """The folder of an overlay in a copy of manifests/, with these settings.

    Args:
        name: Name of the overlay.
        folder: Where to put the copy.
        **values: What to set.
    """
    copy = folder / "manifests"
    if not copy.exists():
        shutil.copytree(MANIFESTS, copy)
    overlay = copy / "overlays" / name
    settings_file = overlay / "settings" / "settings.yaml"
    settings = yaml.safe_load(settings_file.read_text())
    assert values.keys() <= settings["data"].keys()
    settings["data"] |= values
    settings_file.write_text(yaml.safe_dump(settings))
    return overlay


def parts(overlay):
    """The folders of an overlay that are applied one by one, the rights first."""
    folders = [path.parent for path in overlay.rglob("kustomization.yaml") if path.parent.name != "settings"]
    return sorted(folders, key=lambda folder: (folder != overlay, folder.name))
