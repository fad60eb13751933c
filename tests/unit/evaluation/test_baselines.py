"""Checkpoints that answer in process: each with the prompt of its own manifest, and cut off where it is cut off."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from transformers import AutoTokenizer

from globe.data.rows import Row
from globe.data.shards import dataset_digest, write_dataset
from globe.evaluation.baselines import answers, baselines
from globe.evaluation.evaluation import question_of
from globe.evaluation.promote import promote
from globe.evaluation.recipe import EvaluationRecipe
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, read_checkpoint
from globe.run.stage import Outcome, StageResult, run_stage
from globe.serving.recipe import ServingRecipe

PIXELS = 56 * 56


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    built = base_model(model=TINY, seed=0, store=tmp_path_factory.mktemp("store"))
    return read_checkpoint(Path(built.outcome.outputs["checkpoint"]))


@pytest.fixture(scope="module")
def test_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "test"
    place = {"lat_deg": 48.85, "lon_deg": 2.35, "country": "France", "city": "Paris", "split": "test"}
    write_dataset(folder, [Row(id=f"p{number}", image=picture(number), **place) for number in range(3)])
    return folder


def picture(colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (56, 56), (80 * colour, 0, 0)).save(file, "PNG")
    return file.getvalue()


def rows() -> list[Row]:
    return [Row(id="a", image=picture(1), lat_deg=1.0, lon_deg=1.0, country="Gabon", city="", split="test")]


def test_an_answer_without_an_end_was_cut_off_and_one_with_an_end_was_not(tiny, tmp_path):
    """The random model never ends; told that every token is an end, it does at once."""
    ((text, cut_off),) = answers(tiny, rows(), EvaluationRecipe(max_tokens=5), PIXELS)
    assert (bool(text), cut_off) == (True, True)
    folder = tmp_path / "ending"
    shutil.copytree(tiny.path, folder)
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": list(range(vocabulary))}))
    ((_, cut_off),) = answers(replace(tiny, uri=str(folder), files={}), rows(), EvaluationRecipe(max_tokens=5), PIXELS)
    assert cut_off is False


def test_another_prompt_gets_another_answer(tiny):
    first, second = (
        list(answers(tiny, rows(), EvaluationRecipe(max_tokens=5, prompt=prompt), PIXELS)) for prompt in ("", "Which town?")
    )
    assert first != second


def test_each_model_is_asked_with_the_prompt_of_its_own_manifest_and_another_prompt_is_another_result(tiny, test_set, tmp_path):
    recipe = EvaluationRecipe(max_tokens=5, bootstrap_rounds=10)
    told = replace(tiny, prompt="Which town?")

    def texts(base) -> tuple[str, str]:
        result = baselines(base=base, start=base, test=test_set, recipe=recipe, max_pixels=PIXELS, store=tmp_path)
        return result.key, (result.folder / "base" / "predictions.jsonl").read_text()

    plain, asked = texts(tiny), texts(told)
    assert plain[0] != asked[0]
    assert plain[1] != asked[1]
    metrics = json.loads(next(tmp_path.glob("baselines/*/base/metrics.json")).read_text())
    assert metrics["failures"]["cut_off"] == 3
    assert "cut off at 5 tokens" in metrics["warnings"][0]


def test_the_promoted_model_is_asked_too_unless_its_evaluation_on_these_pictures_is_recorded(tiny, test_set, tmp_path):
    recipe, store = EvaluationRecipe(max_tokens=5, bootstrap_rounds=10), tmp_path / "store"
    other = base_model(model=TINY, seed=1, store=store)
    policy = read_checkpoint(Path(other.outcome.outputs["checkpoint"]))

    def asked(base=tiny) -> list[str]:
        return list(
            baselines(base=base, start=base, test=test_set, recipe=recipe, max_pixels=PIXELS, store=store).outcome.figures
        )

    def evaluated(test: str, n: int = 3, **settings: int) -> StageResult:
        question = {"inputs": {"test": test, "policy": policy.digest}, "settings": settings | {"n": n}, "code": ()}
        return run_stage("evaluation", store=store, work=lambda f, r: Outcome("", figures={"policy": {"n": n}}), **question)

    assert asked() == ["base"]
    promote(policy=policy, evaluation=evaluated("other pictures"), store=store)
    assert asked() == ["promoted", "base"]
    assert len((next(store.glob("baselines/*/promoted")) / "predictions.jsonl").read_text().splitlines()) == 3
    assert asked(policy) == ["base"]  # it is the base model itself
    promote(policy=policy, evaluation=evaluated(dataset_digest(test_set), max_tokens=6), store=store)
    assert set(asked()) == {"promoted", "base"}  # it was asked otherwise
    promote(policy=policy, evaluation=evaluated(dataset_digest(test_set), n=2), store=store)
    assert set(asked()) == {"promoted", "base"}  # it was asked about some of them only
    promote(policy=policy, evaluation=evaluated("other pictures"), store=store)
    shutil.move(policy.uri, tmp_path / "away")
    assert asked() == ["base"]  # it is gone; the gate says what is missing
    shutil.move(tmp_path / "away", policy.uri)
    promote(policy=policy, evaluation=evaluated(dataset_digest(test_set)), store=store)
    assert asked() == ["base"]


def test_the_prompt_is_part_of_the_evaluations_question(tiny, test_set):
    recipe = EvaluationRecipe()
    told = replace(tiny, prompt="Which town?")
    settings = [question_of(*pair, ServingRecipe())["settings"]["prompt"] for pair in (
        (tiny, test_set, recipe), (told, test_set, recipe), (told, test_set, EvaluationRecipe(prompt="Where?")))]  # fmt: skip
    assert settings == ["", "Which town?", "Where?"]


def test_a_penalty_that_the_folder_names_is_not_in_force_for_the_server_has_none(tiny, tmp_path):
    """Qwen2.5-VL's own folders name one."""
    folder = tmp_path / "penalised"
    shutil.copytree(tiny.path, folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | {"repetition_penalty": 1.5}))
    penalised = replace(tiny, uri=str(folder), files={})
    recipe = EvaluationRecipe(max_tokens=24)
    assert list(answers(penalised, rows(), recipe, PIXELS)) == list(answers(tiny, rows(), recipe, PIXELS))
