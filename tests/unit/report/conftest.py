"""Inputs of a report: a dataset of twelve pictures and two evaluations of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_inputs import LYON, PARIS, TOKYO, answered, metrics_of, png

from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.evaluation.compare import compare
from globe.report import EvaluationView


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A test dataset of twelve pictures: p0 to p5 of Paris, p6 to p11 of Tokyo."""
    rows = [Row(id=f"p{i}", image=png(20 * i), split="test", **(PARIS if i < 6 else TOKYO)) for i in range(12)]
    write_dataset(tmp_path / "test", rows)
    return tmp_path / "test"


@pytest.fixture
def evaluation() -> Callable[[str, list[dict[str, Any]]], EvaluationView]:
    """Make the view of some predictions."""

    def make(name: str, records: list[dict[str, Any]]) -> EvaluationView:
        return EvaluationView(name, metrics_of(records), records)

    return make


@pytest.fixture
def before(evaluation: Callable[..., EvaluationView]) -> EvaluationView:
    """Knows nothing: every answer is unreadable, and two call Paris Tokyo."""
    unreadable = [answered(i, None, "palm palm palm", "not_parsed") for i in range(2, 12)]
    return evaluation("before SFT", [answered(0, TOKYO), answered(1, TOKYO), *unreadable])


@pytest.fixture
def after(evaluation: Callable[..., EvaluationView], before: EvaluationView) -> EvaluationView:
    """Eight right, two call Paris Lyon, one calls Tokyo Paris, one is unreadable."""
    right = [answered(i, PARIS if i < 6 else TOKYO) for i in (0, 1, 2, 3, 6, 7, 8, 9)]
    wrong = [answered(4, LYON), answered(5, LYON), answered(10, PARIS), answered(11, None, "fog", "not_parsed")]
    assert before.predictions
    return replace(evaluation("after GRPO", right + wrong), change=compare(before.predictions, right + wrong))
