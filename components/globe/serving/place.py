"""Where a run's servers go: this machine, or pods of a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Place:
    """What a serving stage is told about where it serves. On a laptop all of it but the run's name stays empty."""

    run: str = ""
    """Name of the run: everything it makes is marked with it, and found by it."""
    gpus: int = 0
    """GPUs of each server."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes that may run it."""
    tolerations: Sequence[Mapping[str, Any]] = ()
    cluster: Mapping[str, Any] = field(default_factory=dict)
    """Profile's part about servers in a cluster: namespace, image, claim and so on."""
