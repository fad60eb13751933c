"""Kubeflow Trainer, played by a double that runs a job's nodes as processes of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from trainer_double import TrainerDouble, trainer_double


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainerDouble]:
    """The double, running; this process's kubeconfig leads to it."""
    with trainer_double(tmp_path) as (double, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield double
