"""What tests of several folders share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# An example that takes long says something about the machine; tests have a limit of minutes each.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

SHARE_A_RUN = ("tests/integration/test_local_run.py", "tests/integration/test_readme.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The tests of a file run on one core, in their order, and so do those of files that share a run of minutes."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:  # the library's place to say what belongs together
            file = super()._split_scope(nodeid)
            return SHARE_A_RUN[0] if file in SHARE_A_RUN else file

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def python_as_in_an_image() -> Iterator[None]:
    """The `python3` of a task's command is this one, as in an image, whether or not somebody has activated the environment."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Folder of the demo's model: a real Qwen2.5-VL of random weights, with its processor."""
    from globe.demo.tiny_model import build_tiny_model, demo_texts

    folder = tmp_path_factory.mktemp("tiny") / "model"
    build_tiny_model(folder, demo_texts(), seed=0)
    return folder
