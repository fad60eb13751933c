"""The tasks for lmms-eval give the figures of `globe score`. `tests/integration/test_lmms_eval.py` runs the real lmms-eval."""

import importlib
import json
import random

import pytest
import yaml

from globe.answer.prompt import PROMPT
from globe.errors import InputError
from globe.evaluation.lmms_samples import prediction_of_text
from globe.evaluation.lmms_tasks import (
    INCLUDE_PATH,
    TRUTH,
    figures_of,
    open_data_set,
    prompt_of,
    truth_of,
)
from globe.figures.metrics import summarize

CITIES = (
    ("France", "Paris", 48.8566, 2.3522), ("Germany", "Berlin", 52.52, 13.405), ("Brazil", "Recife", -8.0539, -34.8811),
    ("Kenya", "Nairobi", -1.2833, 36.8167), ("Japan", "Kyoto", 35.0211, 135.7538),
)  # fmt: skip
OTHER_TEXTS = ("", "no idea", "<think>so</think><answer>country: Atlantis\ncity: Poseidonis</answer>",
               "<think>so</think><answer>country: Brazil\ncity: Nowhereville</answer>",
               "[LMMS_EVAL_REQUEST_FAILED after 5 retries] Connection error.")  # fmt: skip


class Named(yaml.SafeLoader):
    """A loader that reads `!function` as lmms-eval does: a name in a module."""


def _function(loader, node):
    module, _, name = loader.construct_scalar(node).rpartition(".")
    return getattr(importlib.import_module(module), name)


Named.add_constructor("!function", _function)
COMMON = yaml.load((INCLUDE_PATH / "_globe.yaml").read_text(), Named)
AGGREGATIONS = {metric["metric"]: metric["aggregation"] for metric in COMMON["metric_list"]}
TASKS = sorted(INCLUDE_PATH.glob("globe*.yaml"))


def answered(n, seed):
    """Pictures and answers: right, elsewhere, of a country only, unreadable, none."""
    draw = random.Random(seed)
    for number in range(n):
        country, city, lat, lon = draw.choice(CITIES)
        doc = {"id": f"p{number}", "country": country, "city": city, "lat_deg": lat + draw.gauss(0, 1), "lon_deg": lon}
        there = draw.choice((*CITIES, (country, city, lat, lon)))
        named = f"<think>so</think><answer>country: {there[0]}\ncity: {there[1]}</answer>"
        yield doc, draw.choice((named, named, named, *OTHER_TEXTS))


@pytest.mark.parametrize(("n", "seed"), [(200, 0), (201, 1), (1, 2)])
def test_the_figures_are_those_of_globe_score_for_the_same_answers(n, seed):
    pairs = list(answered(n, seed))
    values = [figures_of(doc, [text]) for doc, text in pairs]
    found = {name: aggregate([value[name] for value in values]) for name, aggregate in AGGREGATIONS.items()}
    figures = summarize([{"id": doc["id"], **prediction_of_text(text), "truth": doc} for doc, text in pairs], rounds=0)
    assert found == {
        **{f"within_{km}_km": share for km, share in figures["accuracy"].items()},
        **{name: figures[name] for name in ("country_match", "city_match", "geoscore", "median_km")},
        "parsed": figures["parsed_percent"],
        "failed": figures["failed_percent"],
    }


def test_most_answers_without_a_position_leave_no_median():
    values = [figures_of(doc, [text])["median_km"] for doc, _ in answered(3, 0) for text in ("", "no idea")]
    assert values == [None] * 6
    assert AGGREGATIONS["median_km"](values) is None


def test_the_prompt_is_globes_or_the_files_that_the_user_names(monkeypatch, tmp_path):
    assert prompt_of({}) == PROMPT
    (tmp_path / "p.txt").write_text("Which town?\n")
    monkeypatch.setenv("GLOBE_PROMPT", str(tmp_path / "p.txt"))
    assert prompt_of({}) == "Which town?"


def test_the_truth_that_is_written_beside_an_answer_names_the_picture():
    [(doc, _)] = answered(1, 0)
    assert json.loads(truth_of(doc)) == doc
    assert set(doc) == set(TRUTH)


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_a_task_opens_the_line_beside_it(path, monkeypatch):
    task = yaml.load(path.read_text(), Named)
    assert task["task"] == path.stem
    assert task["include"] == "_globe.yaml"
    row = json.loads((INCLUDE_PATH / task["dataset_kwargs"]["data_files"]["test"]).read_text())
    for variable in ("GLOBE_DATASET", "GLOBE_IMAGES", "GLOBE_DATASETS"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError, match=row["data_set"] or "GLOBE_DATASET is not set"):
        COMMON["process_docs"]([row])


def test_there_are_tasks_for_any_data_set_and_for_the_two_of_the_paper():
    rows = [json.loads(path.with_suffix(".jsonl").read_text()) for path in TASKS]
    assert [row["data_set"] for row in rows] == ["", "im2gps3k", "mp16-reason-test"]
    assert COMMON["process_docs"] is open_data_set
