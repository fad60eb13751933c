"""Stage gate: may the candidate replace the baseline? The verdict, "promote" or "reject", is decided here and nowhere else."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.evaluation.compare import compare
from globe.evaluation.predictions import read_predictions
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import POLICY, baseline_titles
from globe.files import json_text, write_json
from globe.run.events import Reporter
from globe.run.stage import IMAGE_VARIABLE, Outcome, StageResult, run_stage
from globe.storage import write_text

GATE_FILE = "gate.json"
PROMOTE, REJECT = "promote", "reject"


def gate(
    *,
    baselines: StageResult | None,
    evaluation: StageResult,
    titles: Mapping[str, str],
    recipe: EvaluationRecipe,
    store: Path,
) -> StageResult:
    """Judge the policy against its best baseline.

    Args:
        baselines: Result of the baselines stage, or an earlier evaluation; None to check only the absolute limits.
        evaluation: Result of the evaluation stage.
        titles: What the run calls its models, by part.
        recipe: The recipe with the gate's limits.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `verdict` is "promote" or "reject", output `reasons` says why.
    """

    names = baseline_titles(baselines.outcome.figures, titles) if baselines else {}

    def work(folder: Path, reporter: Reporter) -> Outcome:
        judged = judge(baselines, evaluation, names, recipe)
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
        inputs={"baselines": baselines.key if baselines else "", "evaluation": evaluation.key},
        settings=recipe.model_dump() | {"titles": names},  # the reasons name the baseline, so a run must not reuse another's
        code=(__name__,),
        work=work,
    )


def publish(uri: str, evaluation: StageResult, judged: StageResult, titles: Mapping[str, str], run: str) -> None:
    """Write figures, verdict and reasons as JSON to the place that was named when the run was started.

    Args:
        uri: Path or s3:// URI.
        evaluation: Result of the evaluation stage.
        judged: Result of this stage.
        titles: What the run calls its models, by part.
        run: Name of the run.
    """
    content = {
        "run": run,
        "evaluation": evaluation.key,
        "image": os.environ.get(IMAGE_VARIABLE, ""),
        "metrics": evaluation.outcome.figures[POLICY] | {"name": titles[POLICY]},
        "gate": judged.outcome.figures,
    }
    write_text(uri, json_text(content))


def judge(
    baselines: StageResult | None, evaluation: StageResult, names: Mapping[str, str], recipe: EvaluationRecipe
) -> dict[str, Any]:
    """Compare the policy with the strongest baseline, on the same pictures, and with the absolute limits.

    Args:
        baselines: Result with the figures of one or more baselines, or None.
        evaluation: Result with the policy's figures.
        names: What each baseline is called.
        recipe: The recipe with the gate's limits.

    Returns:
        verdict, reasons (the failed ones first), baseline, and the difference with its 95% interval in percentage points.
    """
    limits = recipe.gate
    metrics = evaluation.outcome.figures[POLICY]
    accuracy = _accuracy(metrics, limits.threshold_km)
    parsed = float(metrics["parsed_percent"])
    checks = [
        (
            parsed >= limits.min_parsed_percent,
            f"{parsed:.1f}% of the answers could be read, at least {limits.min_parsed_percent:.1f}% required",
        ),
    ]
    if limits.min_accuracy_percent or not baselines:
        checks.insert(
            0,
            (
                accuracy >= limits.min_accuracy_percent,
                f"within {limits.threshold_km} km {accuracy:.1f}%, at least {limits.min_accuracy_percent:.1f}% required",
            ),
        )
    judged: dict[str, Any] = {"baseline": "", "difference": None}
    if baselines:
        judged = _against(baselines, evaluation, names, recipe)
        low, high = judged["difference"]["ci95"]
        text = (
            f"within {limits.threshold_km} km {accuracy:.1f}% against {judged['accuracy']:.1f}% ({judged['baseline']}): "
            f"{judged['difference']['difference']:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}"
        )
        checks.insert(0, (high >= -limits.max_drop_percent, text))
    verdict = PROMOTE if all(passed for passed, _ in checks) else REJECT
    reasons = [text for passed, text in sorted(checks, key=lambda check: check[0])]
    return {"verdict": verdict, "reasons": reasons, "baseline": judged["baseline"], "difference": judged["difference"]}


def _against(
    baselines: StageResult, evaluation: StageResult, names: Mapping[str, str], recipe: EvaluationRecipe
) -> dict[str, Any]:
    """The strongest baseline, its accuracy and the policy's difference from it."""
    threshold = recipe.gate.threshold_km
    accuracy = {name: _accuracy(metrics, threshold) for name, metrics in baselines.outcome.figures.items()}
    best = max(accuracy, key=lambda name: accuracy[name])
    pairs = read_predictions(_folder(baselines) / best), read_predictions(_folder(evaluation) / POLICY)
    difference = compare(*pairs, rounds=recipe.bootstrap_rounds, seed=recipe.seed)["accuracy"][threshold]
    return {"baseline": names[best], "accuracy": accuracy[best], "difference": difference}


def _accuracy(metrics: dict[str, Any], threshold_km: str) -> float:
    accuracy = float(metrics["accuracy"][threshold_km])
    if not math.isfinite(accuracy):
        raise GlobeError(f"an accuracy is not a number: {metrics['accuracy']}")
    return accuracy


def _folder(result: StageResult) -> Path:
    return Path(result.outcome.outputs["folder"])
