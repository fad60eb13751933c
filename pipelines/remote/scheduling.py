"""One change of what is scheduled on a server: made exactly once, and told in lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from globe.console import one_line
from globe.errors import InputError
from globe.redactor import Redactor
from pipelines.remote import LONGEST_LINE
from pipelines.remote.cron import six_fields
from pipelines.remote.evaluation_result import RESULT_PARAMETER
from pipelines.remote.recurring import RecurringRuns, Schedule
from pipelines.remote.revision import git_revision, origin_text, version_tags
from pipelines.remote.server import Server, print_line
from pipelines.remote.wanted import Wanted


@dataclass(frozen=True)
class Timing:
    """When to start runs, and what to do with a schedule of the same name that is there."""

    cron: str
    name: str = ""
    max_concurrency: int = 1
    no_catchup: bool = True
    replace: bool = False


class Scheduling:
    """What is scheduled in an experiment of a server.

    Args:
        server: The server.
        experiment: Name of the experiment.
        console: Where to print.
        redactor: Hides what must not be shown.

    Raises:
        InputError: The server's address is wrong.
    """

    def __init__(self, server: Server, experiment: str, console: Console, redactor: Redactor) -> None:
        self.server = server
        self.experiment = experiment
        self.api = server.connect(console, redactor)
        self.console = console
        self.redactor = redactor

    def create(self, pipeline: str, profile: str, settings: Mapping[str, Any], account: str, timing: Timing) -> None:
        """Schedule a pipeline, unless just that is scheduled already.

        Args:
            pipeline: Name of a pipeline, or the path of a compiled YAML.
            profile: Profile whose cluster and parameters to take.
            settings: `--set` values.
            account: Service account of the pods; empty for the profile's.
            timing: When.

        Raises:
            InputError: Something is wrong, or another one of this name is there and is not to be replaced.
        """
        cron = six_fields(timing.cron)
        wanted = Wanted.find(pipeline, profile, settings, account)
        wanted = wanted.checked(wanted.result, self.redactor)
        name = timing.name or wanted.name
        choice = self.server.choice(self.api, wanted.package)
        package = wanted.packaged(choice.backend)
        self._say("package", choice.line(package))
        schedule = Schedule(name, cron, package, wanted.arguments, timing.max_concurrency, timing.no_catchup, wanted.account)
        runs = RecurringRuns(self.api, self.api.experiment(self.experiment))
        found = runs.same(schedule)
        others = [run for run in runs.all(name) if found is None or run.recurring_run_id != found.recurring_run_id]
        if found is None and others and not timing.replace:
            raise InputError(
                f"--name {name}: another schedule of that name is there ({others[0].cron or 'by intervals'}); "
                "give --replace to put this one in its place, or another --name"
            )
        number = choice.backend.number if choice.backend else ()
        for other in others if timing.replace else ():
            runs.refuse_if_going(other, number)
        if found is not None:
            self._say("found", f"{name} is scheduled already, just so" + ("; but it is paused" if found.paused else ""))
            for other in others if not timing.replace else ():
                when = one_line(other.cron, LONGEST_LINE) or "by intervals"
                self._say("also there", f"{name}: {when}, which starts runs, too; --replace deletes it")
        else:
            revision = git_revision()
            version = self.api.version(package, version_tags(package, choice.backend, revision))
            runs.create(schedule, version, origin_text("schedule", package, revision))
            self._say("scheduled", f"{name}: {cron} (second minute hour day month weekday; the server's time zone)")
        for other in others if timing.replace else ():
            runs.delete(other, number)
            self._say("replaced", f"{one_line(other.cron, LONGEST_LINE)} of {one_line(other.description, LONGEST_LINE)}")
        if wanted.result and "{run}" not in wanted.result and RESULT_PARAMETER in wanted.parameters:
            self._say("result", f"{wanted.result} is overwritten by each run; with {{run}} in it, each has its own")

    def show(self) -> None:
        """Print what is scheduled."""
        found = self._there()
        for run in found.all() if found else ():
            when = run.cron or "by intervals"
            self._say(
                "paused" if run.paused else "scheduled", one_line(f"{run.display_name}: {when}  {run.description}", LONGEST_LINE)
            )

    def delete(self, name: str) -> None:
        """Delete what is scheduled under a name.

        Raises:
            InputError: Nothing is, or one of its runs would end with it.
        """
        number = self.server.number(self.api)
        runs = self._there()
        found = runs.all(name) if runs else ()
        if not (runs and found):
            there = ", ".join(sorted({run.display_name for run in runs.all()})) if runs else ""
            raise InputError(
                f"--delete {name}: nothing of that name is in experiment {self.experiment}; there is {there or 'nothing'}"
            )
        for run in found:
            runs.refuse_if_going(run, number)
        for run in found:
            runs.delete(run, number)
            self._say("deleted", one_line(f"{run.display_name}: {run.cron}", LONGEST_LINE))

    def _there(self) -> RecurringRuns | None:
        """What is in the experiment, if there is one: only looking creates none."""
        self.server.health(self.api)
        experiment = self.api.find_experiment(self.experiment)
        return RecurringRuns(self.api, experiment) if experiment else None

    def _say(self, label: str, text: str) -> None:
        print_line(self.console, self.redactor, label, text)
