"""Stage gate: may the policy replace the models that it is compared with? The words are those of `globe.evaluation.verdict`."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.evaluation.compare import compare
from globe.evaluation.promote import Promoted, asked_otherwise, read_promoted
from globe.evaluation.recipe import EvaluationRecipe, GateRecipe
from globe.evaluation.titles import PARTS, POLICY, PROMOTED, baseline_titles
from globe.evaluation.verdict import INCONCLUSIVE, PROMOTE, REJECT, WORST_FIRST, worst
from globe.figures.metrics import MAX_FAILED_SHARE, check_answered
from globe.figures.predictions import read_predictions
from globe.files import json_text, write_json
from globe.run.events import Reporter
from globe.run.stage import IMAGE_VARIABLE, Outcome, StageResult, run_stage
from globe.storage import write_text

GATE_FILE = "gate.json"


@dataclass(frozen=True)
class Check:
    """One thing that the policy must pass."""

    verdict: str
    reason: str
    baseline: str = ""
    """What it was compared with; empty for an absolute limit."""
    difference: Mapping[str, Any] | None = None
    needed_pictures: int | None = None
    blocks: bool = False
    """Whether an inconclusive verdict stops the policy even where the recipe lets it pass."""


def gate(
    *,
    baselines: StageResult | None,
    evaluation: StageResult,
    titles: Mapping[str, str],
    recipe: EvaluationRecipe,
    store: Path,
    promotes: bool = True,
) -> StageResult:
    """Judge the policy against its baselines and, if it may be promoted, against the promoted model.

    Args:
        baselines: Result of the baselines stage, or an earlier evaluation; None to check only the rest.
        evaluation: Result of the evaluation stage.
        titles: What the run calls its models, by part.
        recipe: The recipe with the gate's rule.
        store: Where stages keep their results, and which model is promoted.
        promotes: Whether a policy that passes is promoted; if not, it is only compared with `baselines`.

    Returns:
        The stage's result. Outputs: `verdict`, a word; `decision`, "promote" or "reject", which an inconclusive verdict leads to
        by the recipe; `reasons`; `promoted`, the digest of the model that was promoted meanwhile, empty for none.
    """
    names = baseline_titles(baselines.outcome.figures, titles) if baselines else {}
    promoted = read_promoted(store) if promotes else None
    if promoted and _is_itself(promoted, evaluation, alone=baselines is None):
        promoted = None

    def work(folder: Path, reporter: Reporter) -> Outcome:
        judged = judge(baselines, evaluation, names, recipe, promoted) | {"promotes": promotes}
        write_json(folder / GATE_FILE, judged)
        outputs = {name: judged[name] for name in ("verdict", "decision", "promoted")}
        return Outcome(
            figure=f"{judged['verdict']}{_what_follows(judged)}: {judged['reasons'][0]}",
            outputs=outputs | {"reasons": "; ".join(judged["reasons"])},
            figures=judged,
            show=str(folder / GATE_FILE),
        )

    inputs = {"baselines": baselines.key if baselines else "", "evaluation": evaluation.key}
    if promoted:  # a verdict is of the models that were there: with another one promoted, it is given anew
        inputs |= {"promoted": promoted.digest, "promoted_evaluation": promoted.evaluation.key if promoted.evaluation else ""}
    return run_stage(
        "gate",
        store=store,
        inputs=inputs,
        # The reasons name the baselines, so a run must not reuse another's.
        settings=recipe.model_dump() | {"titles": names, "promotes": promotes},
        code=(__name__,),
        work=work,
    )


def _what_follows(judged: Mapping[str, Any]) -> str:
    """What the verdict alone does not say, in brackets."""
    notes = (
        [] if judged["verdict"] != INCONCLUSIVE else ["the recipe lets it pass" if judged["decision"] == PROMOTE else "no pass"]
    )
    notes += [] if judged["promotes"] else ["nothing is promoted here"]
    return f" ({', '.join(notes)})" if notes else ""


def publish(uri: str, evaluation: StageResult, judged: StageResult, titles: Mapping[str, str], run: str) -> None:
    """Write figures, verdict and reasons as JSON to the place that was named when the run was started.

    Args:
        uri: Path or s3:// URI; `{run}` in it is replaced by the run, for whoever names the place before there is a run.
        evaluation: Result of the evaluation stage.
        judged: Result of this stage.
        titles: What the run calls its models, by part.
        run: Name of the run.
    """
    content = {
        "run": run,
        "evaluation": evaluation.key,
        "data": evaluation.inputs.get("test", ""),
        "image": os.environ.get(IMAGE_VARIABLE, ""),
        "metrics": evaluation.outcome.figures[POLICY] | {"name": titles[POLICY]},
        "gate": judged.outcome.figures,
    }
    write_text(uri.replace("{run}", run), json_text(content))


def judge(
    baselines: StageResult | None,
    evaluation: StageResult,
    names: Mapping[str, str],
    recipe: EvaluationRecipe,
    promoted: Promoted | None = None,
) -> dict[str, Any]:
    """Compare the policy with each of the other models, on the same pictures, and with the absolute limits.

    Args:
        baselines: Result with the figures of one or more models, or None.
        evaluation: Result with the policy's figures.
        names: What each of the baselines is called.
        recipe: The recipe with the gate's rule.
        promoted: The promoted model; None if there is none, or if it is the policy.

    Returns:
        verdict, decision, reasons (those that decided first), baseline (the strongest among those that decided), the difference
        from it with its 95% interval in percentage points, needed_pictures, n, promoted (digest).
    """
    rule = recipe.gate
    metrics = evaluation.outcome.figures[POLICY]
    checks = _comparisons(baselines, evaluation, names, recipe, promoted)
    checks += _limits(metrics, rule, alone=not any(check.difference for check in checks))
    checks.sort(key=lambda check: WORST_FIRST.index(check.verdict))  # stable: the strongest baseline stays first
    verdict = worst([check.verdict for check in checks])
    passes = verdict == PROMOTE or (
        verdict == INCONCLUSIVE and rule.inconclusive_promotes and not any(check.blocks for check in checks)
    )
    main = next((check for check in checks if check.baseline), checks[0])
    return {
        "verdict": verdict,
        "decision": PROMOTE if passes else REJECT,
        "reasons": [check.reason for check in checks],
        "baseline": main.baseline,
        "difference": main.difference,
        "needed_pictures": max((check.needed_pictures for check in checks if check.needed_pictures), default=None),
        "n": metrics.get("n"),
        "rule": rule.model_dump(),
        "promoted": promoted.digest if promoted else "",
    }


def _limits(metrics: Mapping[str, Any], rule: GateRecipe, *, alone: bool) -> list[Check]:
    """What is asked of every model, whatever it is compared with."""
    n = int(metrics.get("n") or 0)
    accuracy, parsed = _number(metrics.get("accuracy", {}).get(rule.threshold_km)), _number(metrics.get("parsed_percent"))
    checks = []
    if rule.min_accuracy_percent or alone:
        text = f"within {rule.threshold_km} km {accuracy:.1f}%, n {n}, at least {rule.min_accuracy_percent:.1f}% required"
        checks.append(Check(PROMOTE if accuracy >= rule.min_accuracy_percent else REJECT, text))
    text = f"{parsed:.1f}% of the answers could be read, n {n}, at least {rule.min_parsed_percent:.1f}% required"
    checks.append(Check(PROMOTE if parsed >= rule.min_parsed_percent else REJECT, text))
    if math.isnan(accuracy) or math.isnan(parsed):
        checks.append(Check(REJECT, f"a figure is not a number, n {n}: {rule.threshold_km} km {accuracy}, read {parsed}"))
    if n < rule.min_pictures:
        text = f"n {n}, at least {rule.min_pictures} pictures are required to promote a model"
        checks.append(Check(INCONCLUSIVE, text, needed_pictures=rule.min_pictures, blocks=True))
    return checks


def _number(value: Any) -> float:
    """A figure; NaN, which passes no comparison, for anything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan


def _comparisons(
    baselines: StageResult | None,
    evaluation: StageResult,
    names: Mapping[str, str],
    recipe: EvaluationRecipe,
    promoted: Promoted | None,
) -> list[Check]:
    """One check for each other model, the strongest first."""
    others = [(baselines, part, names[part]) for part in baselines.outcome.figures] if baselines else []
    checks = [_against(*other, evaluation, recipe) for other in others]
    if promoted:
        checks += _against_promoted(promoted, baselines, evaluation, recipe)
    return sorted(checks, key=lambda check: -check.difference["a"] if check.difference else 0.0)


def _against_promoted(
    promoted: Promoted, baselines: StageResult | None, evaluation: StageResult, recipe: EvaluationRecipe
) -> list[Check]:
    """Compare the policy with the promoted model, unless that is among the baselines."""
    unknown, earlier = _unknown(promoted, evaluation), promoted.evaluation
    if earlier and not unknown:
        if baselines and earlier.key == baselines.key:
            return []
        check = _against(earlier, POLICY, PARTS[PROMOTED], evaluation, recipe)
        itself = promoted.digest == evaluation.inputs.get(POLICY)
        return [replace(check, verdict=PROMOTE) if itself and check.verdict == INCONCLUSIVE else check]
    asked = baselines is not None and promoted.digest in [baselines.inputs.get(part) for part in baselines.outcome.figures]
    if baselines and asked and not asked_otherwise(baselines.settings, evaluation.settings):
        return []
    text = (
        f"the promoted model ({promoted.short}) {unknown}, n {_n(evaluation)}: run the evaluation pipeline as this run "
        f"evaluates, with model={promoted.address}, baseline= and promote=true, then this again"
    )
    return [Check(INCONCLUSIVE, text, PARTS[PROMOTED], blocks=True)]


def _is_itself(promoted: Promoted, evaluation: StageResult, *, alone: bool) -> bool:
    """Whether the policy is the promoted model, and nothing says that it was better then.

    If the evaluation that promoted.json names is gone, nothing confirms that this model was ever promoted. That is believed only
    where the policy is compared with nothing else (`alone`), as whoever evaluates the promoted model anew does.

    The same weights are compared with what they were where only their prompt or our code has changed: they must not have become
    worse. Asked about other pictures or with another decoding, they are what the next model is to be compared with.
    """
    if promoted.digest != evaluation.inputs.get(POLICY):
        return False
    if promoted.evaluation is None:
        return alone
    return promoted.evaluation.key == evaluation.key or bool(_unknown(promoted, evaluation))


def _unknown(promoted: Promoted, evaluation: StageResult) -> str:
    """Why the promoted model's evaluation cannot be compared with this one."""
    return promoted.unknown(evaluation.inputs.get("test", ""), _n(evaluation), evaluation.settings)


def _against(other: StageResult, part: str, name: str, evaluation: StageResult, recipe: EvaluationRecipe) -> Check:
    """Compare the policy with one other model; whatever keeps the two from being compared is a reason to reject."""
    if (other.name, other.key) == (evaluation.name, evaluation.key):
        text = f"this is the evaluation of the {name} itself, n {_n(evaluation)}: there is nothing to compare it with"
        return Check(PROMOTE, text, name)
    try:
        if _other_data(other, evaluation):
            raise InputError("it was asked about another dataset; evaluate both on the same one")
        theirs, ours = _read(other, part), _read(evaluation, POLICY)
        found = compare(theirs, ours, rounds=0, rule=recipe.gate, name=name)
    except InputError as error:
        return Check(REJECT, f"cannot be compared with {name}, n {_n(evaluation)} against {_n(other, part)}: {error}", name)
    difference, reason = found["accuracy"][recipe.gate.threshold_km], found["reasons"][0]
    if otherwise := asked_otherwise(other.settings, evaluation.settings):
        reason += f"; asked otherwise: {otherwise}"
    return Check(found["verdict"], reason, name, difference, found["needed_pictures"])


def _read(result: StageResult, part: str) -> list[dict[str, Any]]:
    """The predictions of a model, if they are those that its figures were made from.

    Raises:
        InputError: They are not, or they say nothing about it.
    """
    folder = result.outcome.path("folder") / part
    records = read_predictions(folder)
    check_answered(records, str(folder), MAX_FAILED_SHARE)
    if len(records) != _n(result, part):
        raise InputError(f"{folder}: holds {len(records)} predictions, but its figures are of {_n(result, part)}")
    return records


def _other_data(other: StageResult, evaluation: StageResult) -> bool:
    """Whether two results are known to be of different datasets; older ones do not say."""
    theirs, ours = other.inputs.get("test"), evaluation.inputs.get("test")
    return bool(theirs and ours and theirs != ours)


def _n(result: StageResult, part: str = POLICY) -> Any:
    return result.outcome.figures.get(part, {}).get("n", "unknown")
