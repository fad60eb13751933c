"""People who have nothing but the folder get from it what globe gets: its card's own code is run, in a process without globe."""

import json
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from globe.data.rows import Row
from globe.evaluation.baselines import answers
from globe.evaluation.recipe import EvaluationRecipe
from globe.files import file_sha256
from globe.models.card import Training
from globe.models.checkpoints import open_model
from globe.models.licence import licence_of
from globe.models.processor import load_processor
from globe.models.usable import make_usable
from globe.models.weights import load_model
from globe.rewards.localizability import QUESTION
from globe.training.judge import judge_accuracy

PIXELS = 9 * 28 * 28
WITHOUT_GLOBE = "import sys; sys.modules['globe'] = None\n"
POLICY = Training(
    stage="sft",
    recipe_name="demo",
    recipe={"max_length": 400, "max_pixels": PIXELS, "learning_rate": 1e-5, "environment": {"SECRET": "hunter2"}},
    question='Which "town"?\n```\n# Really',
    answer_tokens=12,
    data="0" * 64,
    rows=1234,
    origins={("reasoning", "a|b\n# <script>"): 3},
    steps=7,
    history=[{"step": 1, "loss": 2.0, "train_speed(iter/s)": 9.9}, {"step": 7, "loss": 0.51234567}],
)
JUDGE = Training("reward_model", "demo", POLICY.recipe, QUESTION, 1, "0" * 64, 5)


@pytest.fixture(scope="module")
def base(tiny_model, tmp_path_factory):
    """A base model as its makers publish one: with a licence, a sampler and a penalty, and room for large pictures."""
    folder = tmp_path_factory.mktemp("hub") / "models--Maker--Base-7B" / "snapshots" / "0"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    sampler = {"do_sample": True, "temperature": 0.9, "repetition_penalty": 1.5}
    (folder / "generation_config.json").write_text(json.dumps(settings | sampler))
    processor = json.loads((folder / "processor_config.json").read_text())
    processor["image_processor"]["size"] = {"longest_edge": 12_845_056, "shortest_edge": 3136}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    (folder / "LICENSE").write_text("Research only.")
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: maker-research\nlicense_link: LICENSE\n---\n# Base\n")
    return folder


def usable(base, folder, training):
    """The base's own weights, as if they had been trained."""
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("LICENSE", "README.md"))
    model = open_model(base)
    make_usable(folder, replace(model, base_model=str(base)), training)
    return folder


def run_card(folder, row: Row) -> str:
    """What the first Python code of the folder's card prints about a picture."""
    (folder / "photo.jpg").write_bytes(row.image)
    code = re.search(r"```python\n(.*?)\n```\n", (folder / "README.md").read_text(), re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_GLOBE + code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.removesuffix("\n")


@pytest.fixture(scope="module")
def row(tmp_path_factory) -> Row:
    file = tmp_path_factory.mktemp("photo") / "large.png"
    Image.frombytes("RGB", (300, 200), random.Random(0).randbytes(300 * 200 * 3)).save(file)
    place = {"lat_deg": 1.0, "lon_deg": 1.0, "country": "Gabon", "city": "Libreville", "reasoning": "palms"}
    return Row(id="a", image=file.read_bytes(), split="test", localizable=True, **place)


def test_the_cards_code_gives_the_answer_that_globe_evaluates(base, row, tmp_path):
    folder = usable(base, tmp_path / "policy", POLICY)
    recipe = EvaluationRecipe(max_tokens=POLICY.answer_tokens, prompt=POLICY.question)
    ((expected, _),) = answers(open_model(base), [row], recipe, PIXELS)
    assert expected
    assert run_card(folder, row) == expected


def test_the_judges_card_gives_the_probability_that_globe_measures(base, row, tmp_path):
    folder = usable(base, tmp_path / "judge", JUDGE)
    card = (folder / "README.md").read_text()
    answer = r"<think>palms</think><answer>country: Gabon\ncity: Libreville</answer>"
    card = card.replace(r"<think>palms</think><answer>country: Fiji\ncity: Suva</answer>", answer)
    (folder / "README.md").write_text(card)
    measured = judge_accuracy(load_model(base), base, [row], PIXELS)["mean_p_yes_localizable"]
    assert float(run_card(folder, row)) == pytest.approx(measured, abs=1e-6)


def test_the_hub_can_read_the_card_and_the_licence_goes_where_the_weights_go(base, tmp_path):
    folder = usable(base, tmp_path / "policy", POLICY)
    data = ModelCard.load(folder / "README.md").data
    assert (data.license, data.license_name, data.license_link) == ("other", "maker-research", "LICENSE")
    assert (data.base_model, data.library_name, data.pipeline_tag) == ("Maker/Base-7B", "transformers", "image-text-to-text")
    assert (folder / "LICENSE").read_text() == "Research only."
    again = licence_of(open_model(folder))
    assert again.entries == {"license": "other", "license_name": "maker-research", "license_link": "LICENSE"}


def test_the_card_says_what_was_done_and_nothing_of_this_machine(base, tmp_path):
    first, second = (usable(base, tmp_path / name, POLICY) for name in ("one", "two"))
    assert {path.name: file_sha256(path) for path in first.iterdir()} == {
        path.name: file_sha256(path) for path in second.iterdir()
    }
    card = (first / "README.md").read_text()
    assert "| loss | 2 | 0.5123 |" in card
    assert "| Rows | 1,234 |" in card
    assert "    learning_rate: 1.0e-05" in card
    assert r"| reasoning | a\|b \# &lt;script> | 3 |" in card
    assert not [text for text in (str(tmp_path), str(base), "hunter2", "speed") if text in card]


def test_greedy_answers_and_pictures_as_in_training_are_the_folders_own_settings(base, tmp_path):
    folder = usable(base, tmp_path / "policy", POLICY)
    settings = json.loads((folder / "generation_config.json").read_text())
    before = json.loads((base / "generation_config.json").read_text())
    assert settings["eos_token_id"] == before["eos_token_id"]
    assert settings.keys().isdisjoint({"temperature", "repetition_penalty"})
    assert (settings["do_sample"], settings["max_new_tokens"]) == (False, 12)
    assert load_processor(folder, 10**9).image_processor.size.shortest_edge == 3136
    assert json.loads((folder / "processor_config.json").read_text())["image_processor"]["size"]["longest_edge"] == PIXELS


@pytest.mark.parametrize(
    "head",
    [
        "",
        "---\nlicense: apache-2.0\n",
        "---\n- license\n---\n",
        "---\nlicense: [mit]\n---\n",
        "---\nlicense: 'mit\\n# x'\n---\n",
        "---\nlicense: !!python/object/apply:os.system ['true']\n---\n",
        "text\n---\nlicense: mit\n---\n",
    ],
)
def test_what_a_base_models_card_says_badly_is_unknown_and_not_guessed(tmp_path, head):
    folder = tmp_path / "Qwen2.5-VL-3B-Instruct"
    folder.mkdir()
    (folder / "README.md").write_text(head)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    licence = licence_of(open_model(folder))
    assert (licence.entries, licence.files) == ({"license": "unknown"}, [])
