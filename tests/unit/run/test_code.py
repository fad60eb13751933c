import ast
from pathlib import Path

import pytest

from globe.curation.teachers.named import SIMULATED, teachers_code
from globe.run import code
from globe.run.code import BESIDE, ROOT, _named, code_digest, modules_behind, source_of
from globe.training import arguments, grpo_arguments, rollout_server

CALL = "run_stage("
STAGES = [path for path in sorted(ROOT.rglob("*.py")) if path.parent.name != "run" and CALL in path.read_text(encoding="utf-8")]


def module_of(path: Path) -> str:
    return ".".join(("globe", *path.relative_to(ROOT).with_suffix("").parts))


def named_code(path: Path) -> set[str]:
    """Modules that a stage's file names as its code, in a call or in the question that it asks."""
    values: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "code":
            values.append(node.value)
        elif isinstance(node, ast.Dict):
            values += [value for key, value in zip(node.keys, node.values, strict=True) if getattr(key, "value", "") == "code"]
    parts = [part for value in values for part in ast.walk(value)]
    named = {part.value for part in parts if isinstance(part, ast.Constant)}
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    own = {module_of(path)} if "__name__" in names else set()
    return named | own | (set(teachers_code(SIMULATED)) if "teachers_code" in names else set())


@pytest.mark.parametrize("path", STAGES, ids=module_of)
def test_a_stage_and_what_it_imports_decide_its_address(path):
    assert module_of(path) in named_code(path)
    assert modules_behind((module_of(path),)) <= modules_behind(tuple(sorted(named_code(path))))


def test_where_a_setting_picks_an_import_only_the_picked_one_counts():
    asked, drawn = modules_behind(("globe.curation.curation",)), modules_behind(("globe.data.source", "globe.demo.world"))
    assert {"globe.curation.curation", "globe.curation.teachers.named"} <= asked
    assert not {"globe.demo.teacher_server", "globe.demo.teachers"} & asked
    assert "globe.demo.teachers" in modules_behind(("globe.curation.curation", *teachers_code(SIMULATED)))
    assert {"globe.data.source", "globe.demo.draw"} <= drawn
    assert "globe.data.ingest" not in drawn


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from . import distance", "globe.geo.distance"),
        ("from .distance import distance_km", "globe.geo.distance"),
        ("from ..answer import parse", "globe.answer.parse"),
        ("from ..answer.parse import parse", "globe.answer.parse"),
    ],
)
def test_a_relative_import_counts(line, found):
    (node,) = ast.parse(line).body
    assert found in set(_named(node, "globe.geo"))


def test_an_evaluation_stands_on_the_rewards_that_its_metrics_compute_with():
    for stage in ("evaluation", "baselines", "gate"):
        assert {"globe.geo.verdict", "globe.rewards.accuracy_original", "globe.figures.metrics"} <= modules_behind(
            (f"globe.evaluation.{stage}",)
        )


def test_plugins_and_child_processes_are_named_by_text_and_count():
    assert {"globe.training.swift_strict", "globe.rewards.swift_plugin", "globe.rewards.accuracy"} <= modules_behind(
        ("globe.training.grpo",)
    )
    assert "globe.rewards.accuracy" not in modules_behind(("globe.training.sft",))


def test_what_only_carries_results_decides_none():
    assert modules_behind(("globe.run.stage", "globe.storage", "globe.cli.app", "globe.training.recipe")) == frozenset()


def test_what_only_stands_beside_a_training_is_no_reason_to_train_again_but_what_it_imports_is():
    trained = modules_behind(("globe.training.sft", "globe.training.reward_model", "globe.training.grpo"))
    assert not trained & BESIDE.keys()
    assert {"globe.training.trainjob.node", "globe.training.control"} <= trained  # imported by two of them


def test_what_stands_beside_a_training_does_not_run_in_it_and_makes_no_part_of_its_command(monkeypatch):
    """Else a change there could change a result that keeps its address.

    That the rest hands a command on as it is, `unit/training/test_child.py` and `unit/training/trainjob/test_submit.py` test.
    """
    plugins = {Path(path).stem for path in (*arguments.PLUGINS, *grpo_arguments.PLUGINS, *rollout_server.ROLLOUT_PLUGINS)}
    inside = {module_of(path) for path in ROOT.rglob("*.py") if path.stem in plugins} | {"globe.training.trainjob.node"}
    makers = {"globe.training.arguments", "globe.training.grpo_arguments", "globe.training.fitted", "globe.training.trainjob.job"}
    beside = set(BESIDE)
    monkeypatch.setattr(code, "BESIDE", {})
    reached = modules_behind.__wrapped__((*inside, *makers))
    assert {"globe.training.swift_control", "globe.rewards.accuracy"} <= reached
    assert not reached & beside
    assert beside <= modules_behind.__wrapped__(("globe.training.sft",))


def test_another_line_in_a_module_that_is_imported_is_another_digest(monkeypatch):
    module = source_of("globe.geo.distance")
    before = code_digest.__wrapped__(("globe.figures.metrics",))
    content = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: content(path) + (b"\n" if path == module else b""))
    assert code_digest.__wrapped__(("globe.figures.metrics",)) != before
    assert code_digest.__wrapped__(("globe.training.sft",)) == code_digest(("globe.training.sft",))


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"globe\.nothing"):
        code_digest(("globe.nothing",))
