"""Recurring runs in KFP's API: what starts a pipeline again and again, by the server's own clock."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from globe.errors import InputError
from pipelines.remote.client import API, END_STATES, Experiment, KfpApi, Name, Pipeline, Version, named
from pipelines.remote.connection import Answer, Nothing
from pipelines.remote.package import Package

ORPHAN_SINCE = (2, 16)
"""From here on a recurring run can be deleted without the runs that it has started (`recurring_run.proto`)."""
_PAGE = "100"


class _CronSchedule(Answer):
    cron: str = ""


class _Trigger(Answer):
    cron_schedule: _CronSchedule | None = None


class RecurringRun(Answer):
    """A recurring run on a server."""

    recurring_run_id: Name
    display_name: str = ""
    description: str = ""
    status: str = ""
    trigger: _Trigger | None = None

    @property
    def cron(self) -> str:
        """When it starts runs, in six fields; empty if it does so by intervals."""
        return self.trigger.cron_schedule.cron if self.trigger and self.trigger.cron_schedule else ""

    @property
    def paused(self) -> bool:
        """Whether somebody has switched it off."""
        return self.status == "DISABLED"


class _RecurringRuns(Answer):
    recurringRuns: tuple[RecurringRun, ...] = ()


class _Run(Answer):
    run_id: Name
    display_name: str = ""
    state: str = ""
    recurring_run_id: str = ""


class _Runs(Answer):
    runs: tuple[_Run, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """What a recurring run starts, and when.

    Attributes:
        name: Its name.
        cron: When, in six fields.
        package: The pipeline.
        arguments: The pipeline's parameters.
        max_concurrency: How many of its runs may go on at once, 1 to 10.
        no_catchup: Whether missed times are left out, but for the last.
        account: Service account of the pods; empty for the server's default.
    """

    name: str
    cron: str
    package: Package
    arguments: Mapping[str, Any]
    max_concurrency: int = 1
    no_catchup: bool = True
    account: str = ""

    def body(self) -> dict[str, Any]:
        """It in the form that the API takes, but for what only the server knows."""
        body: dict[str, Any] = {
            "display_name": self.name,
            "mode": "ENABLE",
            "trigger": {"cron_schedule": {"cron": self.cron}},
            "max_concurrency": str(self.max_concurrency),
            "no_catchup": self.no_catchup,
            "runtime_config": {"parameters": dict(self.arguments)},
        }
        return body | ({"service_account": self.account} if self.account else {})

    @property
    def mark(self) -> str:
        """Digest of all that it is. Its description on the server holds it, so that the same one is known again."""
        text = json.dumps([self.body(), self.package.digest], sort_keys=True, ensure_ascii=False, default=str)
        return f"content {hashlib.sha256(text.encode()).hexdigest()[:16]}"


class RecurringRuns:
    """The recurring runs of an experiment.

    Args:
        api: The server.
        experiment: Where they are listed.
    """

    def __init__(self, api: KfpApi, experiment: Experiment) -> None:
        self.api = api
        self.experiment = experiment

    def all(self, name: str = "") -> Sequence[RecurringRun]:
        """Those with a name, which several can have, or every one."""
        query = self._listed() | ({"filter": named(name)} if name else {})
        return self.api.connection.get(f"{API}/recurringruns", _RecurringRuns, query).recurringRuns

    def same(self, schedule: Schedule) -> RecurringRun | None:
        """The one that is the same in all that counts, if there is one."""
        return next((run for run in self.all(schedule.name) if schedule.mark in run.description), None)

    def create(self, schedule: Schedule, version: tuple[Pipeline, Version], origin: str) -> RecurringRun:
        """Make one.

        Args:
            schedule: What it starts, and when.
            version: The schedule's package as it was uploaded.
            origin: Where it comes from, for its description.
        """
        pipeline, uploaded = version
        body = schedule.body() | {
            "description": f"{origin}, {schedule.mark}",
            "experiment_id": self.experiment.experiment_id,
            "pipeline_version_reference": {
                "pipeline_id": pipeline.pipeline_id,
                "pipeline_version_id": uploaded.pipeline_version_id,
            },
        }
        return self.api.connection.post(f"{API}/recurringruns", RecurringRun, body, already=lambda: self.same(schedule))

    def delete(self, run: RecurringRun, number: tuple[int, ...]) -> None:
        """Delete one; runs that it has started go on, on a server that can do that.

        Args:
            run: Which one; before KFP 2.16, none of its runs may be going on: see `refuse_if_going`.
            number: The server's version, empty if it is not known.
        """
        query = {"propagation_policy": "ORPHAN"} if number >= ORPHAN_SINCE else None
        path = f"{API}/recurringruns/{quote(run.recurring_run_id, safe='')}"
        self.api.connection.call("DELETE", path, Nothing, query=query)

    def refuse_if_going(self, run: RecurringRun, number: tuple[int, ...]) -> None:
        """Refuse to delete one if a run of it would end with it: its workflow belongs to it, and no tear-down would run.

        Raises:
            InputError: A run is going on, and the server is older than 2.16 or may be.
        """
        if number >= ORPHAN_SINCE:
            return
        runs = self.api.connection.get(f"{API}/runs", _Runs, self._listed() | {"sort_by": "created_at desc"}).runs
        going = [r for r in runs if r.recurring_run_id == run.recurring_run_id and r.state not in END_STATES]
        if going:
            raise InputError(
                f"{run.display_name}: its run {going[0].display_name or going[0].run_id} is going on, and before KFP 2.16 it "
                "would be deleted with it, without a tear-down; wait for its end, terminate it, or give --backend if it is newer"
            )

    def _listed(self) -> dict[str, str]:
        return {"experiment_id": self.experiment.experiment_id, "page_size": _PAGE}
