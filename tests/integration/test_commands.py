"""`globe serve`, `evaluate` and `locate` with the real vLLM: how a model is served and asked, and what is left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from globe.demo.draw import draw_scene
from globe.demo.world import toy_world, write_world
from globe.evaluation.usage import usage_of_run
from globe.training.base_model import TINY, base_model
from globe.training.checkpoints import MANIFEST_FILE, read_checkpoint

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
GLOBE = [sys.executable, "-m", "globe.cli"]
RECIPES = {"serving": "demo", "evaluation": "demo"}
MAX_MODEL_LEN = 384


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The demo's model, untrained, of a run with a smaller server than the recipe's."""
    usage = usage_of_run(RECIPES, {"serving.max_model_len": MAX_MODEL_LEN, "evaluation.max_tokens": 24})
    built = base_model(model=TINY, seed=0, store=tmp_path_factory.mktemp("store"), usage=usage)
    return Path(built.outcome.outputs["checkpoint"])


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The commands' own temporary folder; with a short path, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


def run(temporary: Path, *words: str | Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"TMPDIR": str(temporary)}
    return subprocess.run([*GLOBE, *map(str, words)], capture_output=True, text=True, timeout=300, env=environment, check=False)


def left_in(temporary: Path) -> list[str]:
    """What is there beside the locks of ports, which are for all servers of a machine."""
    return [path.name for path in temporary.iterdir() if not path.name.startswith("globe-ports-")]


def test_a_served_checkpoint_is_asked_as_its_run_asked_it_and_leaves_nothing(checkpoint, temporary, tmp_path):
    write_world(tmp_path / "world", pictures=12, seed=7)
    server = subprocess.Popen(
        [*GLOBE, "serve", str(checkpoint)], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)}
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        of_model = ["--url", url, "--model", "globe", "--dataset", tmp_path / "world"]
        done = run(temporary, "evaluate", *of_model, "--out", tmp_path / "a", "--json")
        assert done.returncode == 0, done.stderr
        assert f"the evaluation values of {checkpoint / MANIFEST_FILE}" in done.stderr
        question = json.loads((tmp_path / "a" / "question.json").read_text())
        assert (question["max_tokens"], question["checkpoint"]) == (24, read_checkpoint(checkpoint).digest)
        # The full-size recipe allows more tokens than this server has room for, and is answered all the same.
        full = run(temporary, "evaluate", *of_model, "--out", tmp_path / "b", "--recipe", "benchmark", "--json")
        assert full.returncode == 0, full.stderr
        assert json.loads(full.stdout)["failures"]["call_failed"] == 0
        assert json.loads((tmp_path / "b" / "question.json").read_text())["max_tokens"] == MAX_MODEL_LEN
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
    assert left_in(temporary) == []


def test_a_folder_without_a_manifest_is_served_with_the_recipe_that_is_named(checkpoint, temporary, tmp_path):
    photo, folder = tmp_path / "photo.png", tmp_path / "plain"
    draw_scene(toy_world().cities[0], seed=1).save(photo)
    folder.mkdir()
    for path in checkpoint.iterdir():
        if path.name != MANIFEST_FILE:
            (folder / path.name).hardlink_to(path)
    located = run(temporary, "locate", photo, "--checkpoint", folder, "--recipe", "demo", "--json")
    assert located.returncode == 0, located.stderr
    assert json.loads(located.stdout)["status"] in ("cut_off", "not_parsed", "no_answer")
    assert "served with serving recipe demo" in located.stderr
    assert not (folder / MANIFEST_FILE).exists()
    assert left_in(temporary) == []
