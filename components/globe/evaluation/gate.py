"""Stage gate: may the candidate take the baseline's place? A word, decided here and nowhere else."""

import math
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.evaluation.compare import compare
from globe.evaluation.evaluate import read_predictions
from globe.evaluation.recipe import EvaluationRecipe
from globe.events import Reporter
from globe.stage import Outcome, StageResult, run_stage, write_json

GATE_FILE = "gate.json"
PROMOTE, REJECT = "promote", "reject"


def gate(*, evaluation: StageResult, recipe: EvaluationRecipe, store: Path) -> StageResult:
    """Judge an evaluation's candidate against its best baseline.

    Args:
        evaluation: Result of the evaluation stage.
        recipe: The recipe with the gate's limits.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `verdict` is "promote" or "reject", output `reasons` says why.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        judged = judge(evaluation, recipe)
        write_json(folder / GATE_FILE, judged)
        return Outcome(
            figure=f"{judged['verdict']}: {judged['reasons'][0]}",
            outputs={"verdict": judged["verdict"], "reasons": "; ".join(judged["reasons"])},
            figures=judged,
            show=str(folder / GATE_FILE),
        )

    return run_stage(
        "gate",
        store=store,
        inputs={"evaluation": evaluation.key},
        settings=recipe.model_dump(),
        code=("evaluation/gate", "evaluation/compare", "evaluation/metrics"),
        work=work,
    )


def judge(evaluation: StageResult, recipe: EvaluationRecipe) -> dict[str, Any]:
    """Compare the candidate with the strongest baseline, on the same pictures.

    Returns:
        verdict, reasons (the failed ones first), baseline, and the difference with its 95% interval in percentage points.
    """
    limits = recipe.gate
    metrics = evaluation.outcome.figures
    *baselines, candidate = sorted(metrics, key=lambda name: name == evaluation.outcome.outputs["candidate"])
    accuracy = {name: float(metrics[name]["accuracy"][limits.threshold_km]) for name in metrics}
    if not all(math.isfinite(value) for value in accuracy.values()):
        raise GlobeError(f"an accuracy is not a number: {accuracy}")
    failed: list[str] = []
    passed: list[str] = []
    parsed = float(metrics[candidate]["parsed_percent"])
    (passed if parsed >= limits.min_parsed_percent else failed).append(
        f"{parsed:.1f}% of the answers could be read, at least {limits.min_parsed_percent:.1f}% are asked for"
    )
    judged: dict[str, Any] = {}
    if baselines:
        baseline = max(baselines, key=lambda name: accuracy[name])
        folder = Path(evaluation.outcome.outputs["folder"])
        pairs = read_predictions(folder / baseline), read_predictions(folder / candidate)
        difference = compare(*pairs, rounds=recipe.bootstrap_rounds, seed=recipe.seed)["accuracy"][limits.threshold_km]
        low, high = difference["ci95"]
        text = (
            f"within {limits.threshold_km} km {accuracy[candidate]:.1f}% against {accuracy[baseline]:.1f}% ({baseline}): "
            f"{difference['difference']:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}"
        )
        (failed if high < -limits.max_drop_percent else passed).insert(0, text)
        judged = {"baseline": baseline, "difference": difference}
    return {"verdict": REJECT if failed else PROMOTE, "reasons": failed + passed, "candidate": candidate} | judged
