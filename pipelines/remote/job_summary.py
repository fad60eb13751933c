"""How a submitted run went, as Markdown for the summary page of a CI job."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from globe.console import one_line
from globe.evaluation.markdown import figures_table, verdict_text
from globe.markdown import escape
from pipelines.remote.evaluation_result import EvaluationResult
from pipelines.remote.watch import Stage, duration_text

LONGEST_TEXT = 300


@dataclass
class Submitted:
    """A submission and what is known about it so far.

    Attributes:
        pipeline: Name of the pipeline.
        name: Name of the run.
        url: Its page in the KFP UI; empty if it was not started.
        state: How it ended, or that it is still running, in words.
        seconds: How long it took; None if it did not end.
        stages: Its stages.
        problems: What went wrong, starting with the cause.
        result: Figures and verdict, if they could be read.
        result_problem: Why they could not.
        last_word: What the run's last task told, in Markdown; empty if that cannot be seen from here.
    """

    pipeline: str
    name: str
    url: str = ""
    state: str = "not started"
    seconds: float | None = None
    stages: list[Stage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    result: EvaluationResult | None = None
    result_problem: str = ""
    last_word: str = ""


def job_summary(submitted: Submitted) -> str:
    """The summary.

    Args:
        submitted: What is known about the run.

    Returns:
        Markdown. Untrusted texts (names, errors, reasons) are escaped, so that they make no links, tables or HTML.
    """
    run = _text(submitted.name)
    rows = [
        ("run", f"[{run}](<{submitted.url}>)" if submitted.url else run),
        ("state", _text(submitted.state)),
    ]
    if submitted.seconds is not None:
        rows.append(("time", duration_text(submitted.seconds)))
    parts = [f"## {_text(submitted.pipeline)}: {_text(submitted.state)}", _table(("", ""), rows)]
    if submitted.problems:
        parts.append("\n".join(["### What went wrong", "", *(f"- {_text(problem)}" for problem in submitted.problems)]))
    if submitted.result:
        gate = submitted.result.gate.model_dump()
        gate["reasons"] = [one_line(reason, LONGEST_TEXT) for reason in gate["reasons"]]
        parts.append(f"### Gate\n\n{verdict_text(gate)}")
        parts.append(f"### Accuracy\n\n{figures_table(submitted.result.metrics.model_dump())}")
    elif submitted.result_problem:
        parts.append(f"No figures: {_text(submitted.result_problem)}")
    if submitted.last_word:
        parts.append(f"### What it took\n\n{submitted.last_word}")
    if submitted.stages:
        stages = [
            (
                _text(stage.title),
                _text(stage.state),
                duration_text(stage.seconds) if stage.seconds is not None else "",
                _text(stage.note),
            )
            for stage in submitted.stages
        ]
        parts.append("### Stages\n\n" + _table(("stage", "state", "time", ""), stages))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(text: str) -> str:
    return escape(one_line(text, LONGEST_TEXT))
