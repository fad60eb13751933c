"""What models are called: after what they are in this run, never after what an earlier one called them."""

import json
from pathlib import Path

import pytest

from globe.asking.answers import geocode
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.demo.draw import draw_scene
from globe.demo.places import all_cities
from globe.evaluation.evaluate import identity_of, write_evaluation
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.reports import METRICS_FILE, REPORT_FILE, write_report
from globe.evaluation.titles import (
    BASE,
    BASELINE,
    PARTS,
    POLICY,
    START,
    baseline_titles,
    evaluation_titles,
    model_title,
    training_titles,
)
from globe.figures.predictions import prediction
from globe.models.checkpoints import MANIFEST_FILE, Checkpoint
from globe.models.publish import publish_checkpoint


def model(folder: Path, **made) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    if made:
        publish_checkpoint(folder, parent="p", step=3, **made)
    return folder


@pytest.mark.parametrize(
    ("sft", "grpo", "titles"),
    [
        ("run", "run", ("before SFT", "after SFT", "after GRPO")),
        ("given", "run", ("base model", "given for SFT", "after GRPO")),
        ("off", "run", ("base model", "fine-tuned model", "after GRPO")),
        ("off", "given", ("base model", "fine-tuned model", "given for GRPO")),
        ("given", "given", ("base model", "given for SFT", "given for GRPO")),
    ],
)
def test_a_training_run_calls_a_model_trained_only_if_it_trained_it(sft, grpo, titles):
    found = training_titles(sft=sft, grpo=grpo)
    assert (found[BASE], found[START], found[POLICY]) == titles


def test_a_model_is_called_what_its_manifest_says_or_as_its_folder(tmp_path):
    trained = model(tmp_path / "a" / "checkpoint", base_model="/models/Qwen2.5-VL-7B-Instruct", recipe="two-rewards")
    assert model_title(str(trained)) == "Qwen2.5-VL-7B-Instruct trained with two-rewards"
    assert model_title(f"{trained}/") == model_title(str(trained))
    candidate = model(tmp_path / "candidate")
    assert model_title(str(candidate)) == "candidate"
    for damaged in ("{", "3", "[1]"):  # whoever reads the checkpoint says what is wrong
        (candidate / MANIFEST_FILE).write_text(damaged)
        assert model_title(str(candidate)) == "candidate"
    assert model_title("tiny") == "tiny"


def test_an_evaluation_by_itself_compares_with_the_promoted_model_or_what_it_was_given(tmp_path):
    assert evaluation_titles("tiny", "promoted") == {POLICY: "tiny", BASELINE: "promoted model"}
    titles = evaluation_titles("tiny", "/store/evaluation/0123")
    assert baseline_titles([POLICY], titles) == {POLICY: "/store/evaluation/0123"}
    assert baseline_titles([BASE, START], titles)[START] == "/store/evaluation/0123, fine-tuned model"
    assert baseline_titles([BASE, START], training_titles(sft="run", grpo="run")) == {BASE: "before SFT", START: "after SFT"}


def test_a_result_knows_no_title_and_each_run_writes_its_own_on_the_page(tmp_path):
    city = all_cities()[0]
    draw_scene(city, seed=1).save(tmp_path / "picture.png")
    picture = (tmp_path / "picture.png").read_bytes()
    row = Row(id="p", image=picture, split="test", lat_deg=-1.28, lon_deg=36.82, country="Kenya", city="Nairobi")
    write_dataset(tmp_path / "test", [row])
    records = [prediction(row, geocode("<think>red soil</think><answer>country: Kenya\ncity: Nairobi</answer>"))]
    evaluated = Checkpoint("/m", "", "tiny", "demo", "", 1, {"model.safetensors": "0" * 64})
    folder = tmp_path / "policy"
    metrics = write_evaluation(identity_of(evaluated), records, tmp_path / "test", folder, EvaluationRecipe())
    kept = (folder / METRICS_FILE).read_text() + (folder / REPORT_FILE).read_text()
    assert identity_of(evaluated) in kept
    runs = [training_titles(sft="run", grpo=grpo)[POLICY] for grpo in ("run", "given")]
    assert not [title for title in (*runs, *PARTS.values()) if title in kept]
    assert json.loads((folder / METRICS_FILE).read_text())["model"] == metrics["model"] == identity_of(evaluated)
    for title, other in (runs, reversed(runs)):
        write_report(tmp_path / "page.html", title, metrics, folder, tmp_path / "test")
        page = (tmp_path / "page.html").read_text()
        assert title in page
        assert other not in page
