"""The gate's verdict: a word, with reasons, whatever the numbers do."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from globe.evaluation.gate import gate, judge, publish
from globe.evaluation.promote import PROMOTED_FILE, Promoted, promote
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import BASELINE, POLICY, training_titles
from globe.figures.metrics import summarize
from globe.models.checkpoints import Checkpoint
from globe.run.stage import Outcome, StageResult, run_stage

PARIS = {"country": "France", "city": "Paris", "lat_deg": 48.8566, "lon_deg": 2.3522}
N = 200
TITLES = training_titles(sft="run", grpo="run")


def recipe(**rule: Any) -> EvaluationRecipe:
    return EvaluationRecipe.model_validate({"gate": rule})


def record(number: int, right: bool, parsed: bool = True) -> dict:
    place = PARIS if right else {"country": "Japan", "city": "Tokyo", "lat_deg": 35.68, "lon_deg": 139.69}
    position = place if parsed else dict.fromkeys(place)
    status = "ok" if parsed else "not_parsed"
    distance = (0.0 if right else 9700.0) if parsed else None
    return {"id": str(number), "status": status, "answer": "", **position, "distance_km": distance, "truth": PARIS}


def write(folder: Path, records: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


def results(folder: Path, n: int = N, **right: int) -> tuple[StageResult, StageResult]:
    """Baselines and evaluation of models that get the given number of pictures right."""
    figures = {}
    for name, count in right.items():
        records = [record(number, number < count) for number in range(n)]
        write(folder / name, records)
        figures[name] = summarize(records, rounds=20)
    policy = {"policy": figures.pop("policy")}
    outputs = {"folder": str(folder)}
    baselines = StageResult("baselines", "b", folder, Outcome("", outputs, figures), 0.0, False, {"test": "t"})
    evaluated = Outcome("", outputs, policy)
    key = f"k{right['policy']}"
    return baselines, StageResult(
        "evaluation", key, folder, evaluated, 0.0, False, {"test": "t", "policy": f"m{right['policy']}"}
    )


def promoted_of(evaluation: StageResult) -> Promoted:
    return Promoted(evaluation.inputs["policy"], "/m", "/m", evaluation.folder, evaluation)


def test_a_model_that_is_better_than_all_others_is_promoted(tmp_path):
    judged = judge(*results(tmp_path, base=20, start=100, policy=150), TITLES, recipe())
    assert (judged["verdict"], judged["decision"], judged["baseline"]) == ("promote", "promote", "after SFT")
    assert judged["reasons"][0].startswith("within 25 km 75.0% against 50.0% (after SFT), n 200: +25.0 points")
    assert "(before SFT)" in judged["reasons"][1]
    assert judged["difference"]["difference"] == pytest.approx(25.0)
    assert all("n 200" in reason for reason in judged["reasons"])


def test_a_model_that_is_clearly_worse_than_one_of_them_is_rejected_and_the_reason_comes_first(tmp_path):
    judged = judge(*results(tmp_path, base=20, start=150, policy=100), TITLES, recipe(inconclusive_promotes=True))
    assert (judged["verdict"], judged["decision"]) == ("reject", "reject")
    assert "(after SFT), n 200: -25.0 points" in judged["reasons"][0]


def test_a_loss_within_the_margin_is_no_reason(tmp_path):
    assert judge(*results(tmp_path, start=150, policy=100), TITLES, recipe(margin_percent=40))["verdict"] == "promote"


def test_a_difference_that_too_few_pictures_show_is_inconclusive_and_passes_only_where_the_recipe_says_so(tmp_path):
    both = results(tmp_path, start=102, policy=100)
    judged = judge(*both, TITLES, recipe())
    assert (judged["verdict"], judged["decision"]) == ("inconclusive", "reject")
    judged = judge(*both, TITLES, recipe(margin_percent=2))
    assert judged["needed_pictures"] > N
    assert f"about {judged['needed_pictures']:,} pictures would decide" in judged["reasons"][0]
    judged = judge(*both, TITLES, recipe(margin_percent=2, inconclusive_promotes=True))
    assert (judged["verdict"], judged["decision"]) == ("inconclusive", "promote")


@pytest.mark.parametrize(("start", "policy"), [(3, 0), (0, 3)])
def test_three_right_of_twenty_against_none_promotes_neither(tmp_path, start, policy):
    judged = judge(*results(tmp_path, n=20, start=start, policy=policy), TITLES, recipe(inconclusive_promotes=True))
    assert (judged["verdict"], judged["decision"]) == ("inconclusive", "reject")
    assert "n 20" in judged["reasons"][0]


def test_one_test_picture_promotes_nothing(tmp_path):
    for baselines in (True, False):
        before, evaluation = results(tmp_path / str(baselines), n=1, start=0, policy=1)
        judged = judge(before if baselines else None, evaluation, TITLES, recipe(inconclusive_promotes=True))
        assert (judged["verdict"], judged["decision"]) == ("inconclusive", "reject")
        assert any("n 1, at least 100 pictures are required" in reason for reason in judged["reasons"])


def test_answers_that_cannot_be_read_reject_a_model_however_good_the_rest_is(tmp_path):
    baselines, result = results(tmp_path, start=10, policy=100)
    records = [record(number, True, parsed=number < N // 2) for number in range(N)]
    write(tmp_path / "policy", records)
    result.outcome.figures["policy"] = summarize(records, rounds=20)
    judged = judge(baselines, result, TITLES, recipe())
    assert judged["verdict"] == "reject"
    assert "50.0% of the answers could be read" in judged["reasons"][0]


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), None, "75"])
def test_a_number_that_is_none_rejects_with_the_reason(tmp_path, figure):
    baselines, result = results(tmp_path, start=10, policy=100)
    result.outcome.figures["policy"]["accuracy"]["25"] = figure
    judged = judge(baselines, result, TITLES, recipe(inconclusive_promotes=True))
    assert (judged["verdict"], judged["decision"]) == ("reject", "reject")
    assert "not a number" in judged["reasons"][0]


def test_rows_that_are_missing_reject_with_the_reason_also_where_both_sides_lost_the_same(tmp_path):
    baselines, evaluation = results(tmp_path, start=10, policy=100)
    fewer = [record(number, number < 100) for number in range(N - 3)]
    write(tmp_path / "start", fewer)
    judged = judge(baselines, evaluation, TITLES, recipe())
    assert judged["verdict"] == "reject"
    assert "holds 197 predictions, but its figures are of 200" in judged["reasons"][0]
    write(tmp_path / "policy", fewer)
    assert judge(baselines, evaluation, TITLES, recipe())["verdict"] == "reject"


def test_another_n_and_other_data_reject_with_the_reason(tmp_path):
    _, evaluation = results(tmp_path / "a", policy=100)
    fewer, _ = results(tmp_path / "b", n=150, start=10, policy=100)
    judged = judge(fewer, evaluation, TITLES, recipe())
    assert judged["verdict"] == "reject"
    assert "n 200 against 150" in judged["reasons"][0]
    other, _ = results(tmp_path / "c", start=10, policy=100)
    judged = judge(replace(other, inputs={"test": "another"}), evaluation, TITLES, recipe())
    assert judged["verdict"] == "reject"
    assert "another dataset" in judged["reasons"][0]


def test_failed_calls_are_rows_like_others_and_a_model_whose_calls_all_failed_is_rejected(tmp_path):
    baselines, evaluation = results(tmp_path, n=315, start=100, policy=200)

    def with_failed(count: int) -> dict:
        nothing = dict.fromkeys(PARIS)
        failed = [record(i, False) | nothing | {"status": "call_failed", "error": "500"} for i in range(count)]
        records = [record(i, i < 200) for i in range(315)][count:] + failed
        write(tmp_path / "policy", records)
        evaluation.outcome.figures["policy"] = summarize(records, rounds=20)
        return judge(baselines, evaluation, TITLES, recipe(min_parsed_percent=0))

    judged = with_failed(48)
    assert (judged["verdict"], judged["n"]) == ("promote", 315)
    assert "within 25 km 48.3% against 31.7% (after SFT), n 315: +16.5 points" in judged["reasons"][0]
    judged = with_failed(64)  # as many as no evaluation of ours lacks
    assert judged["verdict"] == "reject"
    assert "64 of 315 calls failed, which is an outage" in judged["reasons"][0]
    judged = with_failed(315)
    assert judged["verdict"] == "reject"
    assert "all 315 calls failed" in judged["reasons"][0]


def test_without_a_baseline_only_the_absolute_limits_count(tmp_path):
    _, evaluation = results(tmp_path, start=10, policy=100)
    judged = judge(None, evaluation, TITLES, recipe())
    assert (judged["verdict"], judged["difference"]) == ("promote", None)
    judged = judge(None, evaluation, TITLES, recipe(min_accuracy_percent=60))
    assert judged["verdict"] == "reject"
    assert "50.0%, n 200, at least 60.0% required" in judged["reasons"][0]


def test_an_absolute_limit_counts_beside_a_baseline(tmp_path):
    assert judge(*results(tmp_path, start=10, policy=100), TITLES, recipe(min_accuracy_percent=60))["verdict"] == "reject"


def test_a_model_that_beats_what_it_came_from_is_not_promoted_over_a_better_promoted_one(tmp_path):
    baselines, evaluation = results(tmp_path / "run", base=20, start=100, policy=110)
    _, better = results(tmp_path / "better", policy=180)
    assert judge(baselines, evaluation, TITLES, recipe())["verdict"] == "promote"
    judged = judge(baselines, evaluation, TITLES, recipe(), promoted_of(better))
    assert (judged["verdict"], judged["baseline"], judged["promoted"]) == ("reject", "promoted model", "m180")
    assert "90.0% (promoted model), n 200: -35.0 points" in judged["reasons"][0]


def test_a_promoted_model_without_an_evaluation_on_these_pictures_leaves_it_open(tmp_path):
    baselines, evaluation = results(tmp_path / "run", start=100, policy=150)
    _, elsewhere = results(tmp_path / "elsewhere", policy=180)
    away = replace(elsewhere, inputs={"test": "other", "policy": "m180"})
    for earlier in (promoted_of(away), replace(promoted_of(elsewhere), evaluation=None)):
        judged = judge(baselines, evaluation, TITLES, recipe(inconclusive_promotes=True), earlier)
        assert (judged["verdict"], judged["decision"]) == ("inconclusive", "reject")
        assert "run the evaluation pipeline as this run evaluates, with model=/m, baseline= and" in judged["reasons"][0]
    # The baselines stage has asked it on these pictures.
    asked, _ = results(tmp_path / "asked", promoted=180, start=100, policy=150)
    asked = replace(asked, inputs={"test": "t", "promoted": "m180"})
    judged = judge(asked, evaluation, TITLES | {"promoted": "promoted model"}, recipe(), promoted_of(away))
    assert (judged["verdict"], judged["baseline"]) == ("reject", "promoted model")


def test_a_promoted_model_that_was_asked_otherwise_leaves_it_open(tmp_path):
    """With few tokens the better model looks worse, and would be replaced by one that is worse."""
    baselines, evaluation = results(tmp_path / "run", start=100, policy=150)
    _, handicapped = results(tmp_path / "handicapped", policy=20)
    evaluation = replace(evaluation, settings={"max_tokens": 512, "temperature": 0.0, "prompt": "its own"})
    handicapped = replace(handicapped, settings={"max_tokens": 8, "temperature": 0.0, "prompt": ""})
    lenient = recipe(inconclusive_promotes=True)
    judged = judge(baselines, evaluation, TITLES, lenient, promoted_of(handicapped))
    assert (judged["verdict"], judged["decision"]) == ("inconclusive", "reject")
    assert "was asked otherwise (max_tokens 8 against 512), n 200" in judged["reasons"][0]
    # Named as the baseline, it is compared with, and still promotes nothing.
    judged = judge(handicapped, evaluation, TITLES, lenient, promoted_of(handicapped))
    assert judged["decision"] == "reject"
    assert any(reason.endswith("; asked otherwise: max_tokens 8 against 512") for reason in judged["reasons"])
    # The baselines stage has asked it as this run asks.
    asked, _ = results(tmp_path / "asked", promoted=20, policy=150)
    asked = replace(asked, inputs={"test": "t", "promoted": handicapped.inputs["policy"]}, settings={"promoted": {}})
    names = TITLES | {"promoted": "promoted model"}
    assert judge(asked, evaluation, names, lenient, promoted_of(handicapped))["verdict"] == "promote"


def test_a_promoted_model_that_had_a_first_look_only_leaves_it_open(tmp_path):
    _, evaluation = results(tmp_path / "run", policy=150)
    _, look = results(tmp_path / "look", n=120, policy=90)
    judged = judge(None, evaluation, TITLES, recipe(inconclusive_promotes=True), promoted_of(look))
    assert (judged["verdict"], judged["decision"]) == ("inconclusive", "reject")
    assert "was asked about 120 of these pictures, n 200: run the evaluation pipeline" in judged["reasons"][0]


def test_a_poor_evaluation_of_the_promoted_model_as_baseline_does_not_hide_the_one_that_earned_it(tmp_path):
    _, evaluation = results(tmp_path / "run", policy=150)
    _, earned = results(tmp_path / "earned", policy=180)
    _, poor = results(tmp_path / "poor", policy=20)
    poor = replace(poor, inputs=earned.inputs)  # of the same model on the same pictures
    judged = judge(poor, evaluation, TITLES, recipe(), promoted_of(earned))
    assert (judged["verdict"], judged["baseline"]) == ("reject", "promoted model")
    assert "75.0% against 90.0% (promoted model)" in judged["reasons"][0]


def test_an_earlier_evaluation_of_a_policy_is_a_baseline_although_it_has_the_same_name(tmp_path):
    _, earlier = results(tmp_path / "a", policy=150)
    _, evaluation = results(tmp_path / "b", policy=100)
    judged = judge(earlier, evaluation, {POLICY: "promoted model"}, recipe())
    assert (judged["verdict"], judged["baseline"]) == ("reject", "promoted model")
    assert judged["difference"]["difference"] == pytest.approx(-25.0)
    itself = judge(earlier, earlier, {POLICY: "promoted model"}, recipe())
    assert (itself["verdict"], itself["baseline"], itself["difference"]) == ("promote", "promoted model", None)


def test_the_stage_hands_its_verdict_on_as_a_word_and_says_when_nothing_is_promoted(tmp_path):
    baselines, evaluation = results(tmp_path / "e", start=10, policy=100)

    def stage(**more: Any) -> StageResult:
        return gate(baselines=baselines, evaluation=evaluation, titles=TITLES, recipe=recipe(), store=tmp_path / "store", **more)

    result = stage()
    assert {key: result.outcome.outputs[key] for key in ("verdict", "decision", "promoted")} == {
        "verdict": "promote", "decision": "promote", "promoted": ""
    }  # fmt: skip
    assert result.outcome.figure.startswith("promote: ")
    only_judged = stage(promotes=False).outcome
    assert only_judged.figure.startswith("promote (nothing is promoted here): ")
    assert only_judged.figures["promotes"] is False


def test_a_verdict_is_given_anew_once_another_model_is_promoted(tmp_path):
    store = tmp_path / "store"
    baselines, evaluation = results(tmp_path / "run", start=10, policy=100)
    _, better = results(tmp_path / "better", policy=180)

    def work(folder: Path, reporter: Any) -> Outcome:
        shutil.copytree(better.folder / POLICY, folder / POLICY)
        return Outcome("", {"folder": str(folder)}, better.outcome.figures)

    def judged() -> StageResult:
        return gate(baselines=baselines, evaluation=evaluation, titles=TITLES, recipe=recipe(), store=store)

    assert [judged().outcome.outputs["verdict"], judged().reused] == ["promote", True]
    other = Checkpoint("/m", "/m", "tiny", "demo", "", 7)
    inputs = {"test": "t", "policy": other.digest}
    promote(
        policy=other, evaluation=run_stage("evaluation", store=store, inputs=inputs, settings={}, code=(), work=work), store=store
    )
    again = judged()
    assert (again.reused, again.outcome.outputs["verdict"]) == (False, "reject")
    assert again.outcome.outputs["promoted"] == json.loads((store / PROMOTED_FILE).read_text())["digest"]
    assert judged().reused


def test_the_promoted_model_with_another_prompt_must_not_have_become_worse(tmp_path):
    """Its weights are the same, and so is its digest; asked about other pictures, it is itself."""
    store, policy = tmp_path / "store", Checkpoint("/m", "/m", "tiny", "demo", "", 7)

    def evaluated(right: int, test: str = "t") -> StageResult:
        records = [record(number, number < right) for number in range(N)]

        def work(folder: Path, reporter: Any) -> Outcome:
            write(folder / POLICY, records)
            return Outcome("", {"folder": str(folder)}, {POLICY: summarize(records, rounds=20)})

        inputs, settings = {"test": test, "policy": policy.digest}, {"prompt": f"where? {right}", "max_tokens": 9}
        return run_stage("evaluation", store=store, inputs=inputs, settings=settings, code=(), work=work)

    def verdict(evaluation: StageResult) -> str:
        judged = gate(baselines=None, evaluation=evaluation, titles=TITLES, recipe=recipe(), store=store)
        return judged.outcome.outputs["verdict"]

    earned = evaluated(150)
    promote(policy=policy, evaluation=earned, store=store)
    assert [verdict(earned), verdict(evaluated(149)), verdict(evaluated(100))] == ["promote", "promote", "reject"]
    assert verdict(evaluated(100, "other pictures")) == "promote"


def test_an_inconclusive_verdict_says_what_follows(tmp_path):
    baselines, evaluation = results(tmp_path / "e", start=102, policy=100)

    def told(promotes: bool, **rule: Any) -> str:
        values = {"titles": TITLES, "recipe": recipe(**rule), "store": tmp_path / "store", "promotes": promotes}
        return gate(baselines=baselines, evaluation=evaluation, **values).outcome.figure

    assert told(True).startswith("inconclusive (no pass): within")
    assert told(True, inconclusive_promotes=True).startswith("inconclusive (the recipe lets it pass): within")
    assert told(False).startswith("inconclusive (no pass, nothing is promoted here): within")


def test_figures_verdict_and_reasons_are_published_where_they_are_asked_for(tmp_path):
    baselines, evaluation = results(tmp_path / "e", start=10, policy=100)
    judged = gate(baselines=baselines, evaluation=evaluation, titles=TITLES, recipe=recipe(), store=tmp_path / "store")
    publish(str(tmp_path / "out" / "result.json"), evaluation, judged, TITLES, "run-1")
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    assert content["run"] == "run-1"
    assert content["metrics"]["n"] == N
    assert content["metrics"]["name"] == "after GRPO"
    assert content["gate"]["verdict"] == "promote"
    assert content["data"] == evaluation.inputs["test"]


def test_a_place_named_before_there_is_a_run_gets_the_runs_name(tmp_path):
    baselines, evaluation = results(tmp_path / "e", start=10, policy=100)
    judged = gate(baselines=baselines, evaluation=evaluation, titles=TITLES, recipe=recipe(), store=tmp_path / "store")
    for run in ("run-1", "run-2"):
        publish(str(tmp_path / "out" / "{run}.json"), evaluation, judged, TITLES, run)
    assert {path.name: json.loads(path.read_text())["run"] for path in (tmp_path / "out").iterdir()} == {
        "run-1.json": "run-1",
        "run-2.json": "run-2",
    }


def test_a_verdict_is_reused_only_where_its_baseline_has_the_same_title(tmp_path):
    _, earlier = results(tmp_path / "a", policy=150)
    _, evaluation = results(tmp_path / "b", policy=100)

    def judged(title):
        titles = {POLICY: "mine", BASELINE: title}
        return gate(baselines=earlier, evaluation=evaluation, titles=titles, recipe=recipe(), store=tmp_path / "store")

    first, again, other = judged("promoted model"), judged("promoted model"), judged("/store/evaluation/0123")
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert "(promoted model)" in again.outcome.outputs["reasons"]
    assert "(/store/evaluation/0123)" in other.outcome.outputs["reasons"]


def test_a_promotion_that_names_the_policy_itself_hides_no_comparison(tmp_path):
    """Whoever replaces promoted.json can name the new model; but not an evaluation of it that says it was promoted before."""
    store = tmp_path / "store"
    baselines, evaluation = results(tmp_path / "e", start=10, policy=100)
    store.mkdir()
    named = {"digest": evaluation.inputs[POLICY], "uri": "/m", "manifest": "/m", "evaluation": "evaluation/0123456789abcdef"}
    (store / PROMOTED_FILE).write_text(json.dumps(named))

    def verdict(against: StageResult | None) -> str:
        judged = gate(baselines=against, evaluation=evaluation, titles=TITLES, recipe=recipe(), store=store)
        return judged.outcome.outputs["decision"]

    assert verdict(baselines) == "reject"
    assert verdict(None) == "promote"  # as whoever evaluates the promoted model anew does
