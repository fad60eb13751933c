"""The gate's verdict: a word, with reasons, whatever the numbers do."""

import json
from pathlib import Path

import pytest

from globe.errors import GlobeError
from globe.evaluation.gate import gate, judge, publish
from globe.evaluation.metrics import summarize
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import BASELINE, POLICY, training_titles
from globe.run.stage import Outcome, StageResult

PARIS = {"country": "France", "city": "Paris", "lat_deg": 48.8566, "lon_deg": 2.3522}
N = 200
TITLES = training_titles(sft="run", grpo="run")


def record(number: int, right: bool, parsed: bool = True) -> dict:
    place = PARIS if right else {"country": "Japan", "city": "Tokyo", "lat_deg": 35.68, "lon_deg": 139.69}
    position = place if parsed else dict.fromkeys(place)
    status = "ok" if parsed else "not_parsed"
    distance = (0.0 if right else 9700.0) if parsed else None
    return {"id": str(number), "status": status, "answer": "", **position, "distance_km": distance, "truth": PARIS}


def results(folder: Path, **right: int) -> tuple[StageResult, StageResult]:
    """Baselines and evaluation of models that get the given number of pictures right."""
    figures = {}
    for name, count in right.items():
        records = [record(number, number < count) for number in range(N)]
        (folder / name).mkdir(parents=True)
        (folder / name / "predictions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        figures[name] = summarize(records, rounds=200)
    policy = {"policy": figures.pop("policy")}
    outputs = {"folder": str(folder)}
    baselines = StageResult("baselines", "b", folder, Outcome("", outputs, figures), 0.0, False)
    return baselines, StageResult("evaluation", "k", folder, Outcome("", outputs, policy), 0.0, False)


def test_a_model_that_is_better_is_promoted(tmp_path):
    judged = judge(*results(tmp_path, base=20, start=100, policy=150), TITLES, EvaluationRecipe())
    assert judged["verdict"] == "promote"
    assert judged["baseline"] == "after SFT"
    assert "(after SFT)" in judged["reasons"][0]
    assert judged["difference"]["difference"] == pytest.approx(25.0)


def test_a_model_that_is_clearly_worse_is_rejected_and_the_reason_comes_first(tmp_path):
    judged = judge(*results(tmp_path, start=150, policy=100), TITLES, EvaluationRecipe())
    assert judged["verdict"] == "reject"
    assert "-25.0 points" in judged["reasons"][0]


def test_a_loss_within_the_allowed_drop_is_no_reason(tmp_path):
    recipe = EvaluationRecipe.model_validate({"gate": {"max_drop_percent": 40}})
    assert judge(*results(tmp_path, start=150, policy=100), TITLES, recipe)["verdict"] == "promote"


def test_answers_that_cannot_be_read_reject_a_model_however_good_the_rest_is(tmp_path):
    baselines, result = results(tmp_path, start=10, policy=100)
    records = [record(number, True, parsed=number < N // 2) for number in range(N)]
    (tmp_path / "policy" / "predictions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    result.outcome.figures["policy"] = summarize(records, rounds=200)
    judged = judge(baselines, result, TITLES, EvaluationRecipe())
    assert judged["verdict"] == "reject"
    assert "50.0% of the answers could be read" in judged["reasons"][0]


def test_a_number_that_is_none_stops_the_gate_instead_of_slipping_through(tmp_path):
    baselines, result = results(tmp_path, start=10, policy=100)
    result.outcome.figures["policy"]["accuracy"]["200"] = float("nan")
    with pytest.raises(GlobeError, match="not a number"):
        judge(baselines, result, TITLES, EvaluationRecipe())


def test_the_stage_hands_its_verdict_on_as_a_word(tmp_path):
    baselines, evaluation = results(tmp_path / "e", start=10, policy=100)
    result = gate(baselines=baselines, evaluation=evaluation, titles=TITLES, recipe=EvaluationRecipe(), store=tmp_path / "store")
    assert result.outcome.outputs["verdict"] == "promote"


def test_without_a_baseline_only_the_absolute_limits_count(tmp_path):
    _, evaluation = results(tmp_path, start=10, policy=100)
    judged = judge(None, evaluation, TITLES, EvaluationRecipe())
    assert judged["verdict"] == "promote"
    assert judged["difference"] is None
    strict = EvaluationRecipe.model_validate({"gate": {"min_accuracy_percent": 60}})
    judged = judge(None, evaluation, TITLES, strict)
    assert judged["verdict"] == "reject"
    assert "50.0%, at least 60.0% required" in judged["reasons"][0]


def test_an_absolute_limit_counts_beside_a_baseline(tmp_path):
    strict = EvaluationRecipe.model_validate({"gate": {"min_accuracy_percent": 60}})
    assert judge(*results(tmp_path, start=10, policy=100), TITLES, strict)["verdict"] == "reject"


def test_an_earlier_evaluation_of_a_policy_is_a_baseline_although_it_has_the_same_name(tmp_path):
    _, earlier = results(tmp_path / "a", start=10, policy=150)
    _, evaluation = results(tmp_path / "b", start=10, policy=100)
    judged = judge(earlier, evaluation, {POLICY: "promoted model"}, EvaluationRecipe())
    assert (judged["verdict"], judged["baseline"]) == ("reject", "promoted model")
    assert judged["difference"]["difference"] == pytest.approx(-25.0)


def test_figures_verdict_and_reasons_are_published_where_they_are_asked_for(tmp_path):
    baselines, evaluation = results(tmp_path / "e", start=10, policy=100)
    judged = gate(baselines=baselines, evaluation=evaluation, titles=TITLES, recipe=EvaluationRecipe(), store=tmp_path / "store")
    publish(str(tmp_path / "out" / "result.json"), evaluation, judged, TITLES, "run-1")
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    assert content["run"] == "run-1"
    assert content["metrics"]["n"] == N
    assert content["metrics"]["name"] == "after GRPO"
    assert content["gate"]["verdict"] == "promote"


def test_a_verdict_is_reused_only_where_its_baseline_has_the_same_title(tmp_path):
    _, earlier = results(tmp_path / "a", policy=150)
    _, evaluation = results(tmp_path / "b", policy=100)

    def judged(title):
        titles = {POLICY: "mine", BASELINE: title}
        recipe, store = EvaluationRecipe(), tmp_path / "store"
        return gate(baselines=earlier, evaluation=evaluation, titles=titles, recipe=recipe, store=store)

    first, again, other = judged("promoted model"), judged("promoted model"), judged("/store/evaluation/0123")
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert "(promoted model)" in again.outcome.outputs["reasons"]
    assert "(/store/evaluation/0123)" in other.outcome.outputs["reasons"]
