"""Tiny models of the witnesses' published classes, and a real server of all three."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from globe.witness.local import running_witnesses
from globe.witness.wanted import KINDS, Wanted

REASONINGS = (
    "a red roof over grey walls, with sand in front of it",
    "grey walls and a red roof stand on yellow sand",
    "a wide blue sky over green grass",
)


@dataclass(frozen=True)
class TinyModels:
    """Folders of the three, and the hub's cache with the CLIP model of the first."""

    coordinates: Path
    segmentation: Path
    alignment: Path
    hub_cache: Path

    def wanted(self, kind: str) -> Wanted:
        """One of them, as it is served."""
        return Wanted(kind, str(getattr(self, kind)))


@dataclass(frozen=True)
class Witnesses:
    """The running server: its URL, and the witnesses as curation takes them."""

    url: str
    specs: list[str]

    def post(self, path: str, body: Any) -> Any:
        """The answer to a question."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def get(self, path: str) -> Any:
        """What is there."""
        with urllib.request.urlopen(self.url + path, timeout=120) as reply:
            return json.load(reply)


def build_tiny_models(root: Path) -> TinyModels:
    """Make the three, the segmentation model trained and the others not."""
    from globe.demo.tiny_geoclip import build_tiny_geoclip
    from globe.demo.tiny_segmenter import build_tiny_segmenter
    from globe.demo.tiny_sentences import build_tiny_sentences

    made = TinyModels(root / "tiny-geoclip", root / "tiny-segmenter", root / "tiny-sentences", root / "hub")
    build_tiny_geoclip(made.coordinates, made.hub_cache)
    build_tiny_segmenter(made.segmentation)
    build_tiny_sentences(made.alignment, REASONINGS)
    return made


@contextmanager
def serving(models: TinyModels) -> Iterator[Witnesses]:
    """A server of the three, as a run starts it."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("OMP_NUM_THREADS", "1")  # of models this small, threads only get in each other's way
        changed.setenv("HF_HUB_CACHE", str(models.hub_cache))
        changed.setenv("HF_HUB_OFFLINE", "1")
        changed.setenv("GLOBE_TEACHER_API_KEY", "the teachers' own, of which these know nothing")
        with running_witnesses([models.wanted(kind) for kind in KINDS]) as specs:
            yield Witnesses(specs[0].rpartition("@")[2], specs)
