"""CONTRIBUTING's word on rewards is true: a new one is its file and its line in the registry, and everything finds it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REWARD = '''
"""Whispering: 1 for a completion without capitals."""

from globe.rewards.score import Score


def score(completion, row=None):
    return Score(1.0, "quiet") if completion == completion.lower() else Score(0.0, "loud")
'''
LINE = '    "globe.rewards.whisper",\n'
ROW = {"completion": "<think>a church</think>", "solution": {"country": "France", "city": "Paris"}, "entities": ["church"]}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package in which the two steps were taken."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "components" / "globe", folder / "globe", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "globe" / "rewards" / "whisper.py").write_text(REWARD)
    registry = folder / "globe" / "rewards" / "__init__.py"
    text = registry.read_text()
    start = text.index("_MODULES = (\n") + len("_MODULES = (\n")
    registry.write_text(text[:start] + LINE + text[start:])
    return folder


def python(package: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(package)}
    result = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_command_scores_with_it(package: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    scores = json.loads(python(package, "-m", "globe.cli", "reward", str(path), "--json"))["scores"]
    assert scores["whisper"] == {"score": 1.0, "reason": "quiet"}
    assert list(
        json.loads(python(package, "-m", "globe.cli", "reward", str(path), "--rewards", "whisper", "--json"))["scores"]
    ) == ["whisper"]


def test_a_recipe_may_give_it_a_weight(package: Path) -> None:
    code = (
        "from globe.recipes.load import load_recipe\n"
        "from globe.training.grpo_recipe import GrpoRecipe\n"
        "print(load_recipe(GrpoRecipe, 'grpo', 'demo', {'rewards': {'whisper': 0.5}}).rewards)\n"
    )
    assert python(package, "-c", code).strip() == "{'whisper': 0.5}"


def test_it_decides_the_result_of_a_training_with_rewards(package: Path) -> None:
    code = (
        "from globe.run.code import modules_behind\nprint('globe.rewards.whisper' in modules_behind(('globe.training.grpo',)))\n"
    )
    assert python(package, "-c", code).strip() == "True"


def test_the_trainers_plugin_registers_it(package: Path) -> None:
    pytest.importorskip("swift.rewards", reason="needs the train extra")
    code = (
        "from swift.rewards import orms\n"
        "import globe.rewards.swift_plugin\n"
        "print(orms['whisper']()(completions=['a church', 'A church'], row=['{}', '{}']))\n"
    )
    assert python(package, "-c", code).splitlines()[-1] == "[1.0, 0.0]"
