"""CONTRIBUTING says how many places each addition touches; here they are added to a copy of the tree, in just these places."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.backends import NEWEST

ROOT = Path(__file__).parents[2]

FUNCTION = '''"""Stage census: how many pictures there are of each country."""

from collections import Counter
from pathlib import Path

from globe.data.shards import dataset_digest, read_dataset
from globe.evaluation.census_recipe import CensusRecipe
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage


def census(*, data: Path, recipe: CensusRecipe, store: Path) -> StageResult:
    def work(folder: Path, reporter: Reporter) -> Outcome:
        counted = Counter(row.country for row in read_dataset(data)).most_common(recipe.countries)
        return Outcome(f"{counted[0][1]} pictures of {counted[0][0]}", figures=dict(counted))

    inputs = {"data": dataset_digest(data)}
    return run_stage("census", store=store, inputs=inputs, settings=recipe.model_dump(), code=(__name__,), work=work)
'''
RECIPE = """from pydantic import PositiveInt

from globe.recipes.base import Recipe


class CensusRecipe(Recipe):
    countries: PositiveInt = 3
"""
CONTRACT = '''from kfp import dsl

from components.contract import contract


@contract("census")
def census(data: dsl.Input[dsl.Dataset], recipes: dict, overrides: dict, store: str, counted: dsl.Output[dsl.Artifact]):
    """Count the pictures of each country."""
    from globe.evaluation.census import census as stage
    from globe.evaluation.census_recipe import CensusRecipe
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.storage import open_store

    recipe = load_stage_recipe(CensusRecipe, "census", recipes, overrides)
    artifacts.write_reference(counted.path, stage(data=artifacts.data_folder(data.path), recipe=recipe, store=open_store(store)))
'''
ROW = '        Stage("census", "evaluate", SMALL, "Census", CensusRecipe),\n'
CALL = "        census(data=raw, **common)\n"


@pytest.fixture
def copy(tmp_path) -> Path:
    """The tree, to be changed."""
    for name in ("components", "pipelines", "images", "manifests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def insert(path: Path, before: str, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, f"{path}: {before!r}"
    path.write_text(content.replace(before, text + before), encoding="utf-8")


def python(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{copy / 'components'}:{copy}"}
    return subprocess.run([sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True)


def add_stage(copy: Path) -> None:
    globe = copy / "components" / "globe"
    (globe / "evaluation" / "census.py").write_text(FUNCTION, encoding="utf-8")  # its function
    (globe / "evaluation" / "census_recipe.py").write_text(RECIPE, encoding="utf-8")  # and recipe
    (globe / "recipes" / "census").mkdir()
    (globe / "recipes" / "census" / "demo.yaml").write_text("countries: 2\n", encoding="utf-8")
    (copy / "components" / "census.py").write_text(CONTRACT, encoding="utf-8")  # its contract
    insert(globe / "run" / "stages.py", '        Stage("sft"', ROW)  # its row
    insert(
        globe / "run" / "stages.py", "from globe.evaluation.recipe", "from globe.evaluation.census_recipe import CensusRecipe\n"
    )
    insert(copy / "pipelines" / "training.py", "        start = trained_or_given(", CALL)  # its call
    insert(copy / "pipelines" / "training.py", "from components.checkpoint", "from components.census import census\n")
    insert(copy / "pipelines" / "training.py", '    "serving": "gpu",', '    "census": "demo",\n')


def test_a_stage_is_added_in_five_places(copy):
    add_stage(copy)
    done = python(copy, "-m", "pipelines", "compile")
    assert done.returncode == 0, done.stderr
    package = copy / "pipelines" / "compiled" / NEWEST.folder / "training.yaml"
    spec, platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    container = spec["deploymentSpec"]["executors"]["exec-census"]["container"]
    assert (container["image"], container["resources"]["resourceMemoryLimit"]) == (
        yaml.safe_load((ROOT / "images" / "pins.yaml").read_text(encoding="utf-8"))["evaluate"],
        "1Gi",
    )
    assert "exec-census" in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    asked = "import json; from pipelines.catalog import PIPELINES as p; print(json.dumps(p['training'].followers))"
    followers = json.loads(python(copy, "-c", asked).stdout)
    assert "census" in followers["source"]
    assert list(followers).index("curation") < list(followers).index("census") < list(followers).index("sft")


def test_the_recipe_of_a_stage_that_was_added_is_checked_before_anything_is_spent(copy):
    add_stage(copy)
    done = python(copy, "-m", "pipelines", "run", "smoke", "--set", "recipes.census=demo", "--set", "census.countries=-1")
    assert done.returncode == 2
    assert "census.countries" in done.stderr
    assert "greater than 0" in done.stderr
