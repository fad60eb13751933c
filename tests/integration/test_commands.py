"""`globe locate` with the real vLLM, of a model that says nothing of itself; those that have a manifest are in test_readme.py."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from globe.demo.draw import draw_scene
from globe.demo.places import all_cities
from globe.models.checkpoints import MANIFEST_FILE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
GLOBE = [sys.executable, "-m", "globe.cli"]


def test_a_folder_without_a_manifest_is_served_with_the_recipe_that_is_named_and_nothing_is_left(tiny_model, tmp_path):
    photo = tmp_path / "photo.png"
    draw_scene(all_cities()[0], seed=1).save(photo)
    with tempfile.TemporaryDirectory(prefix="t") as temporary:  # a short path, since sockets lie in it
        located = subprocess.run(
            [*GLOBE, "locate", str(photo), "--checkpoint", str(tiny_model), "--recipe", "demo", "--json"],
            capture_output=True,
            text=True,
            timeout=900,
            env=os.environ | {"TMPDIR": temporary},
        )
        left = list(Path(temporary).iterdir())
    assert located.returncode == 0, located.stderr
    assert json.loads(located.stdout)["status"] in ("cut_off", "not_parsed", "no_answer")
    assert "served with serving recipe demo" in located.stderr
    assert not (tiny_model / MANIFEST_FILE).exists()
    assert left == []
