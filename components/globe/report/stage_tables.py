"""What the page of a run's stage says in words and tables, as Markdown: what came out, what it took, which GPUs it had."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from globe.curation.funnel import funnel_table
from globe.files import write_atomically
from globe.markdown import escape, table
from globe.report.text import ABSENT, count, duration, number, words
from globe.run.gpus import Gpus
from globe.run.stage import StageResult
from globe.storage import stored_at
from globe.training.samples import INDEX_FILE, SAMPLES
from globe.training.trainer_checkpoints import TENSORBOARD

TEACHER_KEYS = ("asked", "answered", "malformed", "timeouts", "failed")


def write_curation_table(path: str, result: StageResult) -> None:
    """Write the page's Markdown of a curation: how many pictures came in, why others were dropped, what was kept."""
    report = result.outcome.figures
    parts = [f"**{escape(result.outcome.figure)}**", _origin(result)]
    if "dropped" in report:  # a curated folder that was given does not say what was dropped on its way
        parts.append(funnel_table(report))
    sets = {**(report.get("splits") or {}), **({"GRPO pool": report["pool"]} if "pool" in report else {})}
    if sets:
        parts.append(table(("set", "rows:"), [(escape(words(name)), count(rows)) for name, rows in sets.items()]))
    if report.get("teachers"):
        replies = [
            (escape(name), *(count(seen.get(key)) for key in TEACHER_KEYS)) for name, seen in sorted(report["teachers"].items())
        ]
        parts.append(table(("teacher", *(f"{key}:" for key in TEACHER_KEYS)), replies))
    _write(path, parts)


def write_training_table(path: str, result: StageResult, gpus: Gpus) -> None:
    """Write the page's Markdown of a training: what came out, what it took, and which GPUs it had.

    Args:
        path: The file.
        result: The stage's result.
        gpus: The GPUs that it was promised and sees.
    """
    figures = [(escape(words(name)), _figure(value)) for name, value in _flat(result.outcome.figures).items()]
    parts = [f"**{escape(result.outcome.figure)}**", _origin(result)]
    places = [("checkpoint", result.outcome.outputs["checkpoint"])]
    further = (("TensorBoard's files", TENSORBOARD), ("samples", f"{SAMPLES}/{INDEX_FILE}"))
    places += [(name, str(result.folder / place)) for name, place in further if (result.folder / place).exists()]
    parts.append(table(("", ""), [*_gpu_rows(gpus), *((escape(name), escape(stored_at(place))) for name, place in places)]))
    _write(path, [*parts, table(("figure", ":"), figures)])


def write_baselines_table(path: str, result: StageResult, gpus: Gpus, titles: Mapping[str, str]) -> None:
    """Write the page's Markdown of the baselines: how good each model was before the training, and the GPUs it answered on.

    Args:
        path: The file.
        result: The stage's result.
        gpus: The GPUs that it was promised and sees.
        titles: What readers call the models, by part.
    """
    models = result.outcome.figures
    distances = list(next(iter(models.values()))["accuracy"]) if models else []
    head = ("model", "pictures:", *(f"within {km} km:" for km in distances))
    lines = [
        (escape(titles.get(part, part)), count(found.get("n")), *(_accuracy(found, km) for km in distances))
        for part, found in models.items()
    ]
    _write(path, [f"**{escape(result.outcome.figure)}**", _origin(result), table(("", ""), _gpu_rows(gpus)), table(head, lines)])


def _gpu_rows(gpus: Gpus) -> list[tuple[str, str]]:
    return [("GPUs promised", str(gpus.promised)), ("GPUs seen", str(gpus.seen))]


def _origin(result: StageResult) -> str:
    """Whether the stage was done in this run, and how long that took."""
    took = duration(result.seconds)
    return f"Reused: an earlier run made it in {took}, and nothing was done again." if result.reused else f"Done in {took}."


def _accuracy(figures: Mapping[str, Any], distance_km: str) -> str:
    value = number(figures["accuracy"].get(distance_km))
    low, high = (figures.get("ci95") or {}).get(distance_km) or (None, None)
    if value is None:
        return ABSENT
    return f"{value:.1f}%" if number(low) is None or number(high) is None else f"{value:.1f}% ({low:.1f} to {high:.1f})"


def _flat(figures: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Figures without their nesting; lists, which are for charts, are left out."""
    found: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}: ")
        elif not isinstance(value, list):
            found[f"{before}{name}"] = value
    return found


def _figure(value: Any) -> str:
    figure = number(value)
    if figure is None:
        return ABSENT if value is None or isinstance(value, float) else escape(str(value))
    return count(figure) if figure == int(figure) and isinstance(value, int) else f"{figure:.4g}"


def _write(path: str, parts: list[str]) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, "\n\n".join(parts) + "\n")
