"""One submission: started on a KFP server exactly once, followed to its end, and reported in lines and in a summary."""

import os
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from globe.console import one_line
from globe.errors import GlobeError, InputError
from globe.redactor import Redactor
from globe.run.processes import signals_as_interrupts
from pipelines import FAILED, INTERRUPTED, SUCCEEDED
from pipelines.remote import LONGEST_LINE
from pipelines.remote.access import endpoint
from pipelines.remote.client import Experiment, KfpApi, Pipeline, Run, Version
from pipelines.remote.connection import NoAnswer, Refused
from pipelines.remote.evaluation_result import read_result
from pipelines.remote.job_summary import Submitted, job_summary
from pipelines.remote.last_word import read_last_word
from pipelines.remote.package import Package
from pipelines.remote.revision import TAG_LETTERS, git_revision, origin_text, version_tags
from pipelines.remote.server import Server, print_line
from pipelines.remote.wanted import Wanted
from pipelines.remote.watch import Ending, Stage, duration_text, ending, errors, follow, stages

UI_VARIABLE = "KF_PIPELINES_UI_ENDPOINT"
LAST_WORD_S = 10.0
"""How long an interrupted command still waits for the server to end the run that it started."""


@dataclass(frozen=True)
class Order:
    """What to run on the server."""

    wanted: Wanted
    experiment: str = "globe"
    name: str = ""
    """Name of the run; empty for pipeline, time and a random suffix."""
    upload: bool = False
    """Upload the package as a version first, and run that."""
    result: str = ""
    """Path or s3:// URI to which the run writes figures and verdict; `{run}` in it is replaced by the run's name."""


@dataclass(frozen=True)
class Waiting:
    """Whether to wait for the run's end, and how."""

    wait: bool = False
    timeout_s: float = 86400.0
    poll_s: float = 5.0
    cancel_on_interrupt: bool = False


def submit_run(
    order: Order, server: Server, waiting: Waiting, *, summary: Path | None, console: Console, redactor: Redactor
) -> int:
    """Start a run of a compiled pipeline, and follow it if asked.

    Args:
        order: What to start.
        server: Where.
        waiting: Whether to wait, and how.
        summary: File to append a summary in Markdown to; None for none.
        console: Where to print.
        redactor: Hides what must not be shown.

    Returns:
        Exit code: 0 started (or, with `wait`, succeeded), 1 failed, rejected or canceled, 130 interrupted.

    Raises:
        InputError: Something given is wrong, or the server refuses it.
        NoAnswer: The server was silent for too long, or the time to wait is over.
        GlobeError: The run is gone.
    """
    _append(summary, "")  # so that a file that cannot be written is noticed before anything is started
    submission = Submission.prepare(order, server, waiting, console, redactor)
    try:
        with signals_as_interrupts():
            return submission.go()
    except GlobeError as error:
        submission.known.problems.append(str(error))
        raise
    finally:
        _append(summary, redactor.hide(submission.summary()))


@dataclass
class Submission:
    """A submission in progress."""

    order: Order
    server: Server
    waiting: Waiting
    api: KfpApi
    wanted: Wanted
    ui: str
    console: Console
    redactor: Redactor
    known: Submitted
    package: Package | None = None
    mark: str = ""
    """The run's description, which no other run has: if the answer to its creation gets lost, it can be found by it."""
    experiment: Experiment | None = None
    version: tuple[Pipeline, Version] | None = None
    tags: dict[str, str] | None = None
    run: Run | None = None

    @classmethod
    def prepare(cls, order: Order, server: Server, waiting: Waiting, console: Console, redactor: Redactor) -> "Submission":
        """Check everything that can be checked without the server.

        Raises:
            InputError: Something is wrong.
        """
        name = order.name or f"{order.wanted.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        result = (order.result or order.wanted.result).replace("{run}", re.sub(r"[^\w.-]+", "-", name))
        return cls(
            order=replace(order, result=result),
            server=server,
            waiting=waiting,
            wanted=order.wanted.checked(result, redactor),
            api=server.connect(console, redactor),
            ui=endpoint(os.environ.get(UI_VARIABLE) or server.host),
            console=console,
            redactor=redactor,
            known=Submitted(order.wanted.name, name),
        )

    def go(self) -> int:
        """Start the run and follow it. Returns the exit code."""
        try:
            self.run = self._start()
            self.known.state = "started"
            self.known.url = f"{self.ui}/#/runs/details/{quote(self.run.run_id, safe='')}"
            self._say("run", self.known.name)
            self._say("page", self.known.url)
            return self._follow(self.run.run_id) if self.waiting.wait else SUCCEEDED
        except Refused:
            if self.run is None:
                self.known.state = "not started"
            raise
        except KeyboardInterrupt:
            return self._interrupted()

    def summary(self) -> str:
        """What is known, in Markdown."""
        if self.package is not None and self.run is not None and self.run.tasks:
            self.known.stages = stages(self.package, self.run)
        return job_summary(self.known)

    def _start(self) -> Run:
        choice = self.server.choice(self.api, self.wanted.package)
        self.package = self.wanted.packaged(choice.backend)
        self._say("package", choice.line(self.package))
        revision = git_revision()
        self.tags = version_tags(self.package, choice.backend, revision)
        self.mark = origin_text("submit", self.package, revision) + f", {secrets.token_hex(8)}"
        self.experiment = self.api.experiment(self.order.experiment)
        if self.order.upload:
            self.version = self.api.version(self.package, self.tags)
            self._say("version", f"{self.package.digest} of {self.package.name}")
        self.known.state = "not known"  # from here on there may be a run, even if no answer comes
        return self.api.create_run(
            self.experiment,
            self.known.name,
            self.mark,
            self.wanted.arguments,
            package=self.package,
            version=self.version,
            service_account=self.wanted.account,
        )

    def _follow(self, run_id: str) -> int:
        """Show the run's stages as they change, and its end."""
        shown: dict[str, Stage] = {}
        waiting = self.waiting
        patience_s = self.server.limits.patience_s
        looks = follow(self.api, run_id, poll_s=waiting.poll_s, patience_s=patience_s, timeout_s=waiting.timeout_s)
        try:
            for run in looks:
                self.run = run
                for stage in stages(self.package, run):
                    if stage != shown.get(stage.task) and stage.state != "waiting":
                        self._say(stage.state, _stage_text(stage))
                    shown[stage.task] = stage
        except (NoAnswer, Refused) as error:
            self.known.state = "not known, the run goes on"
            error.args = (f"{error}; the run goes on: {self.known.url}",)
            raise
        return self._end(run)

    def _end(self, run: Run) -> int:
        how = ending(self.package, run)
        if self.order.result and how is not Ending.CANCELED:
            how = self._read_result(run, how)
        self.known.state = how.value
        if self.package:
            self.known.last_word = read_last_word(self.package.parameters, self.wanted.arguments, run.run_id)
        self.known.seconds = _seconds(run)
        self._say("end", how.value + (f" after {duration_text(self.known.seconds)}" if self.known.seconds else ""))
        if how not in (Ending.SUCCEEDED, Ending.REJECTED):
            self.known.problems += errors(self.package, run)
        for problem in self.known.problems:
            self._say("why", one_line(problem, LONGEST_LINE))
        if self.known.result:
            self._tag(run)
            for reason in self.known.result.gate.reasons:
                self._say("gate", one_line(reason, LONGEST_LINE))
        if self.known.result_problem:
            self._say("no figures", one_line(self.known.result_problem, LONGEST_LINE))
        return SUCCEEDED if how is Ending.SUCCEEDED else FAILED

    def _read_result(self, run: Run, how: Ending) -> Ending:
        """Read figures and verdict. One against the model counts even if it did not make the run fail."""
        try:
            self.known.result = read_result(self.order.result, run.run_id)
        except GlobeError as error:
            if how is not Ending.FAILED:  # a failed run may well have written none
                self.known.result_problem = str(error)
            return how
        rejected = not self.known.result.gate.passes
        return Ending.REJECTED if rejected and how is Ending.SUCCEEDED else how

    def _tag(self, run: Run) -> None:
        """Tag the uploaded version with what its latest run found: KFP has no tags of runs."""
        if not (self.version and self.tags):
            return
        found = {"last-run": run.run_id, "last-verdict": self.known.result.gate.verdict, "last-data": self.known.result.data}
        try:
            self.api.tag_version(*self.version, {name: value[:TAG_LETTERS] for name, value in found.items() if value})
        except GlobeError as error:  # how the run ended does not depend on it
            self._say("no tags", one_line(str(error), LONGEST_LINE))

    def _interrupted(self) -> int:
        """Say what happens to the run, or end it if that was asked for. Returns the exit code."""
        self.known.state = "not known, waiting was interrupted"
        try:
            if self.waiting.cancel_on_interrupt and self._cancel():
                self.known.state = "canceled, because waiting was interrupted"
                self._say("interrupted", "the run is being ended")
                return INTERRUPTED
        except GlobeError as error:
            self._say("interrupted", f"the run could not be ended: {error}")
        if self.run is not None:
            self._say("interrupted", f"the run goes on: {self.known.url}")
        else:
            where = f"{self.known.name} in experiment {self.order.experiment}"
            self._say("interrupted", f"before the server's answer; if the run started, it is {where}: {self.ui}")
        return INTERRUPTED

    def _cancel(self) -> bool:
        """End the run, if there is one: it may exist even if no answer has come yet."""
        if self.run is None and self.experiment is not None:
            self.run = self.api.find_run(self.experiment, self.known.name, self.mark, patience_s=LAST_WORD_S)
        if self.run is None:
            return False
        self.api.terminate(self.run.run_id, patience_s=LAST_WORD_S)
        return True

    def _say(self, label: str, text: str) -> None:
        print_line(self.console, self.redactor, label, text)


def _stage_text(stage: Stage) -> str:
    took = f"  {duration_text(stage.seconds)}" if stage.seconds is not None else ""
    return f"{stage.title}{took}{'  ' + one_line(stage.note, LONGEST_LINE) if stage.note else ''}"


def _seconds(run: Run) -> float | None:
    """How long a run took; the server writes 1970 for an unknown end."""
    if run.created_at is None or run.finished_at is None or run.finished_at < run.created_at:
        return None
    return (run.finished_at - run.created_at).total_seconds()


def _append(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"--summary {path}: {error.strerror}") from None
