"""Which witness is wanted, in a text as `segmentation:MODEL`, and where its weights lie. Imports no model's package."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

from globe.errors import InputError
from globe.models.safety import check_model_folder

KINDS = {
    "coordinates": ("geoclip", "huggingface_hub", "torch", "transformers"),
    "segmentation": ("torch", "transformers"),
    "alignment": ("sentence_transformers", "torch", "transformers"),
}
"""Each kind of witness with the packages that it needs, as they are imported."""
PACKAGE_WEIGHTS = "geoclip"
"""Stands for the weights that come with the package geoclip, over the CLIP model that they were trained with."""
SERVER_PACKAGES = ("starlette", "uvicorn")
_HUB_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Wanted:
    """A witness that is to be served.

    Attributes:
        kind: One of `KINDS`.
        model: Folder of its weights, or their id on the Hugging Face hub; of coordinates also `geoclip`, the package's own.
    """

    kind: str
    model: str

    @property
    def name(self) -> str:
        """What the model is called, here and in every output: a folder's own name, so that no path of a machine is published.

        GeoCLIP's own weights have one name, wherever the CLIP model comes from, so that what they have answered stays theirs.
        """
        folder = self.folder
        if folder and self.kind == "coordinates" and holds_clip(folder):
            return PACKAGE_WEIGHTS
        return folder.resolve().name if folder else self.model

    @property
    def folder(self) -> Path | None:
        """The folder of the weights; None if they come from a package or the hub."""
        if self.model == PACKAGE_WEIGHTS and self.kind == "coordinates":
            return None
        folder = Path(self.model).expanduser()
        return folder if folder.is_dir() else None

    def check(self) -> None:
        """Check all that can be checked without loading it.

        Raises:
            InputError: Packages are missing, there is no such folder, or loading it would run code.
        """
        require_packages(self.kind)
        if folder := self.folder:
            check_model_folder(folder)
        elif not _HUB_ID.fullmatch(self.model):
            raise InputError(f"{self.kind}:{self.model}: no such folder, and no id of the Hugging Face hub (OWNER/NAME)")


def read_wanted(text: str) -> Wanted | None:
    """Read "KIND:MODEL", a witness that has no URL because it is yet to be served; None if the text is no such thing."""
    kind, colon, model = text.strip().partition(":")
    if not colon or kind not in KINDS or "@http" in model or not model:
        return None
    return Wanted(kind, model)


def holds_clip(folder: Path) -> bool:
    """Whether a folder holds a CLIP model, and no GeoCLIP: the package's own weights go over it."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "clip"


def require_packages(kind: str) -> None:
    """Check that what a kind of witness needs is installed.

    Raises:
        InputError: It is not; names the packages and how to get them.
    """
    missing = [name for name in (*KINDS[kind], *SERVER_PACKAGES) if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{kind}: {', '.join(missing)} not installed; pip install 'globe-kubeflow[witness]', or serve it where that is "
            f"(globe witness) and name it as {kind}:MODEL@URL"
        )
