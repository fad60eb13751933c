"""How a run ended: read from its events and its stages' records, shown as tables, a report and an exit code."""

import importlib
import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from globe.console import last_shown, one_line, printable
from globe.errors import Fault, GlobeError, InputError, cannot_write, fault_of
from globe.evaluation.reports import views
from globe.evaluation.titles import PROMOTED
from globe.files import write_json
from globe.report.run_report import write_run_report
from globe.report.views import RunReport, StageRow
from globe.run.stage import StageResult, load_result
from pipelines import BAD_INPUT, FAILED, INTERRUPTED, SUCCEEDED
from pipelines.local.folder import Run
from pipelines.local.left import end_of
from pipelines.local.live import ENDS, EventLog, print_final_table

TAIL_LINES = 12
LONGEST_LOG = 16 << 20
"""How many bytes of a log are looked at, from its end."""
_TASK_FAILED = re.compile(r"Task '([^']+)' finished with status FAILURE")
_ERROR = re.compile(r"(?P<module>globe(?:\.\w+)*)\.(?P<name>\w+): (?P<text>.*)")
"""The last line of the traceback of one of our own errors."""
NO_ROOM_BYTES = 1 << 20
REPORT_FILE = "report.html"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Failure:
    """The stage that ended a run."""

    stage: str
    error: str
    fault: Fault
    lines: list[str]
    """The last lines of its log, if the error alone does not explain it: for a bug, or a process that was killed."""
    log: Path


@dataclass(frozen=True)
class RunOutcome:
    """How each stage ended."""

    rows: list[StageRow]
    results: dict[str, StageResult]
    """The record of each stage that writes one, by name."""
    titles: dict[str, str]
    """What the run calls its models, by part."""
    failure: Failure | None
    interrupted: bool
    started: str

    @classmethod
    def read(cls, events_file: Path, run_log: Path, *, stages: list[str], worker_code: int, interrupted: bool) -> "RunOutcome":
        """Read a run's events after its end.

        KFP may call a run a success although a stage never ran (for example if a condition could not be evaluated). So a run
        only succeeded if its stages say so: every one of them ended, and none failed.

        Args:
            events_file: The run's events.
            run_log: What KFP and the stages printed.
            stages: Names of all stages, in order.
            worker_code: Exit code of the process in which KFP ran.
            interrupted: Whether the user stopped the run.

        Returns:
            The outcome.
        """
        events = EventLog(events_file).read()
        ends = {event["stage"]: event for event in events if event["kind"] in ENDS}
        rows = [_row(ends[name]) for name in stages if name in ends]
        results = {event["stage"]: load_result(Path(event["folder"])) for event in events if "folder" in event}
        failure = _failure(events, ends, stages, worker_code, run_log)
        started = events[0]["time"] if events else datetime.now(UTC).isoformat()
        titles = ends.get("validate", {}).get("titles", {})
        return cls(rows, results, titles, None if interrupted else failure, interrupted, started)


def finish(run: Run, title: str, outcome: RunOutcome, *, seconds: float, console: Console) -> int:
    """Write the run's summary and report, and print its tables and the command to try next.

    Returns:
        The exit code.
    """
    code = INTERRUPTED if outcome.interrupted else _exit_code(outcome.failure)
    print_final_table(outcome.rows, console)
    if outcome.interrupted:
        console.print(f"stopped after {seconds:.0f} s; the same command, without --fresh and --from, resumes from here")
    if outcome.failure:
        _print_failure(outcome.failure, console)
    locate = _locate_command(outcome)
    try:
        if outcome.results:
            write_run_report(run.folder / REPORT_FILE, _report(title, run.profile, outcome, seconds, locate))
            shutil.copyfile(run.folder / REPORT_FILE, run.home / REPORT_FILE)
        _write_summary(run.folder / SUMMARY_FILE, run, outcome, seconds, code)
    except OSError as error:
        if code == SUCCEEDED:
            raise cannot_write(run.folder, error) from None
        _print(console, f"no report: {cannot_write(run.folder, error)}")
        return code
    if outcome.results:
        _print(console, f"report  {run.home / REPORT_FILE}")
    if code == SUCCEEDED and locate:
        _print(console, f"locate  {locate}")
        _print(console, f'serve   globe serve "{_trained(outcome)}"  # a page and an API')
    return code


def _exit_code(failure: Failure | None) -> int:
    if failure is None:
        return SUCCEEDED
    return BAD_INPUT if failure.fault == "input" else FAILED


def _row(end: dict[str, Any]) -> StageRow:
    figure = end.get("figure") or end.get("error") or ""
    return StageRow(end["stage"], end["kind"], float(end.get("seconds", 0.0)), str(figure), str(end.get("output", "")))


def _failure(
    events: list[dict[str, Any]], ends: dict[str, dict[str, Any]], stages: list[str], worker_code: int, run_log: Path
) -> Failure | None:
    for event in events:  # the first failure is the cause of any later one
        if event["kind"] == "failed":
            log, fault = _log_of(event, run_log), event.get("fault", "bug")
            lines = _plain_lines(log)[-TAIL_LINES:] if fault == "bug" else []
            return Failure(event["stage"], one_line(str(event.get("error", ""))), fault, lines, log)
    missing = [name for name in stages if name not in ends]
    if not worker_code and not missing:
        return None
    stage = missing[0] if missing else stages[-1]
    if shutil.disk_usage(run_log.parent).free < NO_ROOM_BYTES:  # then the reason could not be logged
        return Failure(stage, f"no space left on the file system of {run_log.parent}; make room", "failure", [], run_log)
    return _task_failure(run_log, stages, stage) or Failure(
        stage=stage,
        error=f"the run's process ended with code {worker_code}" if worker_code else "KFP called it a success without running it",
        fault="bug",
        lines=_plain_lines(run_log)[-TAIL_LINES:],
        log=run_log,
    )


def _task_failure(run_log: Path, stages: list[str], next_stage: str) -> Failure | None:
    """The first task that KFP saw fail: one that ended before it could report that itself.

    If the task only passes something on, it is not a stage, and the stage that could not start because of it is named.
    """
    lines = _plain_lines(run_log)
    for number, line in enumerate(lines):
        failed = _TASK_FAILED.search(line)
        if failed:
            said = [text for text in lines[:number] if text.strip()][-TAIL_LINES:]
            stage, last = failed[1].replace("-", "_"), said[-1].strip() if said else ""
            stage = stage if stage in stages else next_stage
            known = _error_of(last)
            if known:
                return Failure(stage, str(known), fault_of(known), [], run_log)
            return Failure(stage, last, "bug", said, run_log)
    return None


def _error_of(line: str) -> GlobeError | None:
    """Our own error whose traceback ends with this line, or None."""
    told = _ERROR.fullmatch(line)
    if told:
        with suppress(ImportError):
            kind = getattr(importlib.import_module(told["module"]), told["name"], None)
            if isinstance(kind, type) and issubclass(kind, GlobeError):
                return InputError(told["text"]) if issubclass(kind, InputError) else GlobeError(told["text"])
    return None


def _log_of(event: dict[str, Any], run_log: Path) -> Path:
    """A failed stage's log; one that lies outside the run's folder is not what a stage of ours would name, and is not shown."""
    log = Path(event.get("log") or run_log)
    try:
        return log if log.resolve().is_relative_to(run_log.parent.resolve()) else run_log
    except (OSError, ValueError, RuntimeError):
        return run_log


def _plain_lines(log: Path) -> list[str]:
    text = end_of(log, LONGEST_LOG).decode("utf-8", "replace").rstrip()
    return [last_shown(line).rstrip() for line in text.split("\n")] if text else []


def _print_failure(failure: Failure, console: Console) -> None:
    console.print(Text.assemble(("failed", "bold red"), "  stage ", (one_line(failure.stage), "bold")))
    for line in [failure.error, *(f"  | {line}" for line in failure.lines)]:
        _print(console, line)
    _print(console, f"log     {failure.log}")


def _print(console: Console, line: str) -> None:
    """Print a line as it is: a path may contain what rich would take for markup."""
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _report(title: str, profile: str, outcome: RunOutcome, seconds: float, locate: str) -> RunReport:
    results = outcome.results
    pictures = None
    evaluations = [
        (outcome.titles.get(part, part), metrics, results[stage].folder / part)
        for stage in ("baselines", "evaluation")
        if stage in results
        for part, metrics in results[stage].outcome.figures.items()
        if part != PROMOTED  # no step of this training; the gate's reasons name it
    ]
    if "curation" in results:
        pictures = Path(results["curation"].outcome.outputs["data"]) / "test"
    curve = results["grpo"].outcome.outputs.get("curve") if "grpo" in results else None  # none if the checkpoint was given
    return RunReport(
        title=title,
        profile=profile,
        started=outcome.started,
        seconds=seconds,
        stages=outcome.rows,
        curation=results["curation"].outcome.figures if "curation" in results else None,
        evaluations=views(evaluations),
        reward_curve=json.loads(Path(curve).read_text()) if curve else [],
        pictures=pictures,
        gate=results["gate"].outcome.figures if "gate" in results else None,
        locate_command=locate,
    )


def _locate_command(outcome: RunOutcome) -> str:
    return f"globe locate PHOTO --checkpoint {trained}" if (trained := _trained(outcome)) else ""


def _trained(outcome: RunOutcome) -> str:
    """The checkpoint that a run has trained; empty for a run without training."""
    return str(outcome.results["grpo"].outcome.outputs["checkpoint"]) if "grpo" in outcome.results else ""


def _write_summary(path: Path, run: Run, outcome: RunOutcome, seconds: float, code: int) -> None:
    stages = {
        row.name: {"status": row.status, "seconds": row.seconds, "figure": row.figure, "output": row.output}
        for row in outcome.rows
    }
    for name, result in outcome.results.items():
        stages[name]["figures"] = result.outcome.figures
    write_json(
        path,
        {
            "run": run.id,
            "pipeline": run.pipeline.name,
            "profile": run.profile,
            "exit_code": code,
            "seconds": round(seconds, 1),
            "stages": stages,
        },
    )
