"""What trainings, evaluations and the gate tell of themselves; tests/integration/test_mlflow.py runs the stages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from model_folders import model, publish

from globe.run.stage import Outcome, StageResult
from globe.run.tracked import tell_evaluation, tell_training, tell_verdict, tracked
from globe.run.tracking import Record


class Heard(Record):
    """Keeps what it is told."""

    def finish(self, **content):
        self.content = content


@pytest.fixture
def heard(monkeypatch) -> Heard:
    monkeypatch.setenv("GLOBE_RUN_ID", "run-1")
    return Heard()


def result(folder: Path, name: str, figures: dict, *, reused: bool = False, **outputs: str) -> StageResult:
    settings = {"recipe": {"learning_rate": 1e-5, "modules": ["a"], "freeze": True}, "prompt": "Where?"}
    return StageResult(name, "k" * 16, folder, Outcome("", outputs, figures), 1.0, reused, {"rows": "d1"}, settings)


def test_a_training_tells_its_question_its_curve_its_figures_and_its_checkpoint(heard, tmp_path):
    made = publish(model(tmp_path / "checkpoint"))
    curve = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    (tmp_path / "history.json").write_text(json.dumps(curve))
    tell_training(heard, result(tmp_path, "sft", {"steps": 2}, reused=True, checkpoint=str(tmp_path / "checkpoint")))
    assert heard.content == {
        "params": {
            "inputs": {"rows": "d1"},
            "recipe": {"learning_rate": "1e-05", "modules": '["a"]', "freeze": "true"},
            "prompt": "Where?",
        },
        "figures": {"steps": 2},
        "curve": curve,
        "tags": {
            "globe.stage": "sft",
            "globe.result": "k" * 16,
            "globe.reused": "true",
            "globe.run": "run-1",
            "globe.checkpoint": made.digest,
            "globe.checkpoint_uri": str(tmp_path / "checkpoint"),
        },
    }


def test_a_training_that_was_given_has_no_curve(heard, tmp_path):
    publish(model(tmp_path / "checkpoint"))
    tell_training(heard, result(tmp_path, "grpo", {}, checkpoint=str(tmp_path / "checkpoint")))
    assert heard.content["curve"] == []


def test_an_evaluation_tells_the_figures_that_exist(heard, tmp_path):
    metrics = {
        "n": 3,
        "accuracy": {"1": 0.0, "25": 66.7, "200": None},
        "median_km": None,
        "geoscore": 12.5,
        "ci95": {"1": [0, 1]},
    }
    tell_evaluation(heard, result(tmp_path, "evaluation", {}), metrics, "mine")
    assert heard.content["figures"] == {"accuracy_1km_percent": 0, "accuracy_25km_percent": 66.7, "n": 3, "geoscore": 12.5}
    assert heard.content["tags"]["globe.model"] == "mine"


def test_the_gate_tells_its_verdict_with_reasons_and_the_pipelines_run_the_verdict_alone(heard, tmp_path):
    judged = {"verdict": "inconclusive", "decision": "reject", "reasons": ["n 3", "too few"], "n": 3}
    judged["difference"] = {"a": 1.0, "b": 2.0, "ci95": [0.0, 2.0]}
    tell_verdict(heard, result(tmp_path, "gate", judged))
    said = {"globe.verdict": "inconclusive", "globe.decision": "reject"}
    assert heard.content["parent_tags"] == said
    assert said.items() <= heard.content["tags"].items()
    assert heard.content["tags"]["mlflow.note.content"] == "- n 3\n- too few"
    assert heard.content["figures"] == {"difference.a": 1.0, "difference.b": 2.0, "difference.ci95": [0.0, 2.0], "n": 3}


def test_a_gate_without_a_comparison_tells_no_difference(heard, tmp_path):
    judged = {"verdict": "reject", "decision": "reject", "reasons": ["n 3"], "n": 3, "difference": None}
    tell_verdict(heard, result(tmp_path, "gate", judged))
    assert heard.content["figures"] == {"n": 3}


@pytest.mark.parametrize("environment", [{}, {"MLFLOW_RUN_ID": "r"}, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}])
def test_without_a_server_and_a_run_a_record_does_nothing(environment):
    with tracked("sft", environment) as record:
        assert type(record) is Record
        record.step(1, 2, {"loss": 1.0})
        record.finish(params={"a": 1}, figures={}, curve=[{"step": 1}])


def test_nothing_is_imported_or_started_for_it():
    code = (
        "import sys, threading; from globe.run.tracked import tracked\n"
        "with tracked('sft') as record: record.step(1, 2, {}); record.finish()\n"
        "print([name for name in ('httpx2', 'mlflow', 'globe.web') if name in sys.modules], threading.active_count())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[] 1\n", done.stderr


def test_a_failure_of_the_work_goes_through():
    with pytest.raises(ZeroDivisionError), tracked("sft", {}):
        raise ZeroDivisionError
