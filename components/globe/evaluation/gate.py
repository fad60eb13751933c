"""Stage gate: may the candidate take the baseline's place? A word, decided here and nowhere else."""

import math
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.evaluation.compare import compare
from globe.evaluation.evaluate import POLICY, read_predictions
from globe.evaluation.recipe import EvaluationRecipe
from globe.events import Reporter
from globe.stage import Outcome, StageResult, run_stage, write_json

GATE_FILE = "gate.json"
PROMOTE, REJECT = "promote", "reject"


def gate(*, baselines: StageResult, evaluation: StageResult, recipe: EvaluationRecipe, store: Path) -> StageResult:
    """Judge the policy against its best baseline.

    Args:
        baselines: Result of the baselines stage.
        evaluation: Result of the evaluation stage.
        recipe: The recipe with the gate's limits.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `verdict` is "promote" or "reject", output `reasons` says why.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        judged = judge(baselines, evaluation, recipe)
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
        inputs={"baselines": baselines.key, "evaluation": evaluation.key},
        settings=recipe.model_dump(),
        code=("evaluation/gate", "evaluation/compare", "evaluation/metrics"),
        work=work,
    )


def judge(baselines: StageResult, evaluation: StageResult, recipe: EvaluationRecipe) -> dict[str, Any]:
    """Compare the policy with the strongest baseline, on the same pictures.

    Returns:
        verdict, reasons (the failed ones first), baseline, and the difference with its 95% interval in percentage points.
    """
    limits = recipe.gate
    metrics = baselines.outcome.figures | evaluation.outcome.figures
    accuracy = {name: float(metrics[name]["accuracy"][limits.threshold_km]) for name in metrics}
    if not all(math.isfinite(value) for value in accuracy.values()):
        raise GlobeError(f"an accuracy is not a number: {accuracy}")
    baseline = max(baselines.outcome.figures, key=lambda name: accuracy[name])
    pairs = read_predictions(_folder(baselines) / baseline), read_predictions(_folder(evaluation) / POLICY)
    difference = compare(*pairs, rounds=recipe.bootstrap_rounds, seed=recipe.seed)["accuracy"][limits.threshold_km]
    low, high = difference["ci95"]
    parsed = float(metrics[POLICY]["parsed_percent"])
    checks = [
        (
            high >= -limits.max_drop_percent,
            f"within {limits.threshold_km} km {accuracy[POLICY]:.1f}% against {accuracy[baseline]:.1f}% ({baseline}): "
            f"{difference['difference']:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}",
        ),
        (
            parsed >= limits.min_parsed_percent,
            f"{parsed:.1f}% of the answers could be read, at least {limits.min_parsed_percent:.1f}% are asked for",
        ),
    ]
    verdict = PROMOTE if all(passed for passed, _ in checks) else REJECT
    reasons = [text for passed, text in sorted(checks, key=lambda check: check[0])]
    return {"verdict": verdict, "reasons": reasons, "baseline": baseline, "difference": difference}


def _folder(result: StageResult) -> Path:
    return Path(result.outcome.outputs["folder"])
