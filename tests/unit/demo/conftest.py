"""One small world for the tests of this package."""

from pathlib import Path

import pytest

from globe.demo.world import write_world


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world of 168 pictures, 10% of them unlocatable."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pictures=168, unlocatable_share=0.1, seed=7)
    return folder
