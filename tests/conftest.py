"""What tests of several folders share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Folder of the demo's model: a real Qwen2.5-VL of random weights, with its processor."""
    from globe.demo.tiny_model import build_tiny_model, demo_texts
    from globe.demo.world import toy_world

    folder = tmp_path_factory.mktemp("tiny") / "model"
    build_tiny_model(folder, demo_texts(toy_world()), seed=0)
    return folder
