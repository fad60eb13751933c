"""The part of KFP's API that a submission needs: experiments, pipelines and their versions, runs.

Before anything is created, and again before a request is repeated, we check whether it is there already: nothing is made twice.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AliasChoices, Field

from pipelines.remote.connection import Answer, AnswerT, Connection, NoAnswer, Nothing, Refused
from pipelines.remote.package import Package

API = "/apis/v2beta1"
EQUALS = 1
CONFLICT = 409
Name = Annotated[str, Field(min_length=1)]

SUCCEEDED, FAILED, CANCELED, SKIPPED = "SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"
UNSPECIFIED = "RUNTIME_STATE_UNSPECIFIED"
END_STATES = (SUCCEEDED, FAILED, CANCELED, SKIPPED)


class Health(Answer):
    """What the server says about itself: itself, or through KFP's UI, which has names of its own for the same."""

    multi_user: bool = False
    tag_name: str = Field("", validation_alias=AliasChoices("tag_name", "apiServerTagName"))
    """The tag of its image: a release's number, "master", whatever a vendor wrote; the releases before 2.16 say "unknown"."""
    pipeline_store: str = Field("", validation_alias=AliasChoices("pipeline_store", "pipelineStore"))
    """Where it keeps pipelines: "database" or "kubernetes"; empty before 2.14."""
    api_ready: bool = Field(True, validation_alias="apiServerReady")
    """The UI answers even if the server behind it does not."""


class Experiment(Answer):
    """A folder of runs."""

    experiment_id: Name


class _Experiments(Answer):
    experiments: tuple[Experiment, ...] = ()


class Pipeline(Answer):
    """A pipeline with versions, as the UI lists it."""

    pipeline_id: Name


class _Pipelines(Answer):
    pipelines: tuple[Pipeline, ...] = ()


class Version(Answer):
    """A version of a pipeline."""

    pipeline_version_id: Name
    tags: Mapping[str, str] = Field(default_factory=dict)


class _Versions(Answer):
    pipeline_versions: tuple[Version, ...] = ()


class Status(Answer):
    """What went wrong."""

    message: str = ""


class StateChange(Answer):
    """When a run got into a state."""

    state: str = UNSPECIFIED
    error: Status | None = None


class TaskDetail(Answer):
    """A node of the run's workflow: a stage, or the small pods around it."""

    display_name: str = ""
    state: str = UNSPECIFIED
    start_time: datetime | None = None
    end_time: datetime | None = None
    error: Status | None = None


class RunDetails(Answer):
    """The nodes of a run's workflow."""

    task_details: tuple[TaskDetail, ...] = ()


class Run(Answer):
    """A run and how far it is."""

    run_id: Name
    display_name: str = ""
    description: str = ""
    state: str = UNSPECIFIED
    created_at: datetime | None = None
    finished_at: datetime | None = None
    error: Status | None = None
    state_history: tuple[StateChange, ...] = ()
    run_details: RunDetails | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in END_STATES

    @property
    def tasks(self) -> Sequence[TaskDetail]:
        """The nodes of its workflow, in no order that means anything."""
        return self.run_details.task_details if self.run_details else ()


class _Runs(Answer):
    runs: tuple[Run, ...] = ()


class KfpApi:
    """A KFP API server's methods.

    Args:
        connection: How to reach it.
        namespace: The user's namespace on a multi-user server; empty on others.
    """

    def __init__(self, connection: Connection, namespace: str = "") -> None:
        self.connection = connection
        self.namespace = namespace

    def health(self) -> Health:
        """Ask whether the server is there, and what it is."""
        health = self.connection.get(f"{API}/healthz", Health)
        if not health.api_ready:
            raise NoAnswer(f"{self.connection.host}: KFP's UI answers, but the API server behind it does not")
        return health

    def experiment(self, name: str) -> Experiment:
        """The experiment with this name; it is created if there is none."""
        body = {"display_name": name} | self._namespace
        return self._ensure(
            lambda: self.find_experiment(name),
            lambda find: self.connection.post(f"{API}/experiments", Experiment, body, already=find),
        )

    def find_experiment(self, name: str) -> Experiment | None:
        """The experiment with this name, if there is one."""
        return _first(self.connection.get(f"{API}/experiments", _Experiments, self._named(name)).experiments)

    def version(self, package: Package, tags: Mapping[str, str] | None = None) -> tuple[Pipeline, Version]:
        """The package as a version of the pipeline with its name; uploaded unless it is there already.

        Args:
            package: The compiled pipeline. Its digest is the version's name, so equal packages are one version.
            tags: What a new version is tagged with; only for a server that knows tags.

        Returns:
            The pipeline and the version.
        """
        pipeline = self._ensure(
            lambda: _first(self.connection.get(f"{API}/pipelines", _Pipelines, self._named(package.name)).pipelines),
            lambda find: self.connection.post(
                f"{API}/pipelines", Pipeline, {"display_name": package.name} | self._namespace, already=find
            ),
        )
        versions = f"{API}/pipelines/{quote(pipeline.pipeline_id, safe='')}/versions"
        upload = {"name": package.digest, "pipelineid": pipeline.pipeline_id} | ({"tags": json.dumps(tags)} if tags else {})
        version = self._ensure(
            lambda: _first(self.connection.get(versions, _Versions, {"filter": named(package.digest)}).pipeline_versions),
            lambda find: self.connection.call(
                "POST", f"{API}/pipelines/upload_version", Version, query=upload, file=package.path, already=find
            ),
        )
        return pipeline, version

    def tag_version(self, pipeline: Pipeline, version: Version, tags: Mapping[str, str]) -> None:
        """Add tags to a version, on a server that knows tags; a tag that is there already gets the new value."""
        path = f"{API}/pipelines/{quote(pipeline.pipeline_id, safe='')}/versions/{quote(version.pipeline_version_id, safe='')}"
        there = self.connection.get(path, Version).tags  # whatever is not sent is deleted
        self.connection.call("PATCH", path, Nothing, body={"tags": there | dict(tags)})

    def create_run(
        self,
        experiment: Experiment,
        name: str,
        submission: str,
        arguments: Mapping[str, Any],
        *,
        package: Package | None = None,
        version: tuple[Pipeline, Version] | None = None,
        service_account: str = "",
    ) -> Run:
        """Start a run, of a package or of an uploaded version.

        Args:
            experiment: Where to list it.
            name: Its name.
            submission: Its description, which no other run has; if the answer gets lost, the run can be found by it.
            arguments: The pipeline's parameters.
            package: The package to run, or
            version: the uploaded version to run.
            service_account: Kubernetes service account of its pods; empty for the server's default.

        Returns:
            The run.
        """
        body: dict[str, Any] = {
            "experiment_id": experiment.experiment_id,
            "display_name": name,
            "description": submission,
            "runtime_config": {"parameters": dict(arguments)},
        }
        if version is not None:
            body["pipeline_version_reference"] = {
                "pipeline_id": version[0].pipeline_id,
                "pipeline_version_id": version[1].pipeline_version_id,
            }
        elif package is not None:
            body["pipeline_spec"] = package.body
        if service_account:
            body["service_account"] = service_account

        def already() -> Run | None:
            return self.find_run(experiment, name, submission)

        return self.connection.post(f"{API}/runs", Run, body, already=already)

    def find_run(self, experiment: Experiment, name: str, submission: str, *, patience_s: float | None = None) -> Run | None:
        """The run of a submission, or None if there is none (yet)."""
        query = {
            "experiment_id": experiment.experiment_id,
            "filter": named(name),
            "page_size": "100",
            "sort_by": "created_at desc",
        }
        runs = self.connection.get(f"{API}/runs", _Runs, query, patience_s=patience_s).runs
        return next((run for run in runs if run.description == submission), None)

    def run(self, run_id: str, *, patience_s: float | None = None) -> Run:
        """A run as it is now."""
        return self.connection.get(f"{API}/runs/{quote(run_id, safe='')}", Run, patience_s=patience_s)

    def terminate(self, run_id: str, *, patience_s: float | None = None) -> None:
        """Have a run end early."""
        self.connection.post(f"{API}/runs/{quote(run_id, safe='')}:terminate", Nothing, patience_s=patience_s)

    @property
    def _namespace(self) -> dict[str, str]:
        return {"namespace": self.namespace} if self.namespace else {}

    def _named(self, name: str) -> dict[str, str]:
        return {"filter": named(name)} | self._namespace

    @staticmethod
    def _ensure(find: Callable[[], AnswerT | None], create: Callable[[Callable[[], AnswerT | None]], AnswerT]) -> AnswerT:
        """Find something, or create it; another user may create it at the same moment."""
        found = find()
        if found is not None:
            return found
        try:
            return create(find)
        except Refused as refused:
            found = find() if refused.status == CONFLICT else None
            if found is None:
                raise
            return found


def named(name: str) -> str:
    """A filter for what is called so, as the API reads it."""
    predicate = {"operation": EQUALS, "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def _first(found: Sequence[AnswerT]) -> AnswerT | None:
    return found[0] if found else None
