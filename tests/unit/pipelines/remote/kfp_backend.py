"""What a KFP server does, as far as a submission sees it: experiments, pipelines, versions, runs that go on as they are watched.

Answers are made of kfp_server_api's own models. Where it matters they are as the 2.17 backend's: times that are not known
are 1970, empty values are left out, a run's task details are the workflow's nodes (drivers and executors among them) in no
useful order, and a node that was left out has no state.
"""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import kfp_server_api as api
import yaml

API = "/apis/v2beta1"
UNKNOWN = "unknown"
"""What KFP's own images of 2.5 to 2.15 say: their build hands on no number (.github/workflows, mended by #12795 in 2.16)."""
LATE_FIELDS = {
    r"platforms\.kubernetes\.pipelineConfig\.(resourceTtlOn\w+|activeDeadlineSeconds)": (2, 17),
    r".*\.executors\.[\w-]+\.securityContext": (2, 16),
    r".*\.executors\.[\w-]+\.secretAsEnv\.\d+\.optional": (2, 15),
}
"""Fields of the platform spec that came late: a server that does not know one skips the whole document without a word
(`v2_template.go: IsPlatformSpecWithKubernetesConfig`)."""
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
STAGE_S = 60
END_STATES = {"REJECTED": "FAILED", "NOT STARTED": "FAILED"}


@dataclass
class Request:
    """A request as it arrived; `body` is parsed JSON, or the text of an uploaded file."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def what(self) -> str:
        return f"{self.method} {self.path.removeprefix(API)}"


@dataclass
class KfpBackend:
    """The server's state, and what it makes of a request.

    outcome: How runs end: SUCCEEDED, FAILED (at task `fail_at`), NOT STARTED (its driver fails), REJECTED, CANCELED, SKIPPED,
    or RUNNING for never. error: what the server says about it. parts: how many pods a task has that runs in parallel.
    pace: how many stages a run goes on with each look at it. version: the release that it behaves as. tag: what it says of its
    version. ui: it is asked through KFP's UI.
    """

    outcome: str = "SUCCEEDED"
    fail_at: str = "evaluation"
    error: str = ""
    parts: dict[str, int] = field(default_factory=dict)
    pace: int = 1
    multi_user: bool = False
    version: str = "2.17.0"
    tag: str | None = None
    ui: bool = False
    experiments: list[api.V2beta1Experiment] = field(default_factory=list)
    pipelines: list[api.V2beta1Pipeline] = field(default_factory=list)
    versions: list[api.V2beta1PipelineVersion] = field(default_factory=list)
    recurring: list[api.V2beta1RecurringRun] = field(default_factory=list)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: what was asked for, how often it was looked at, whether it was terminated."""
    received: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> tuple[int, Any]:
        """Do what is asked for: status and model."""
        path = request.path.removeprefix(API)
        match (request.method, *(unquote(part) for part in path.strip("/").split("/"))):
            case ("GET", "healthz"):
                return 200, self.health()
            case ("GET", "experiments"):
                return 200, api.V2beta1ListExperimentsResponse(experiments=_asked_for(request, self.experiments))
            case ("POST", "experiments"):
                return _add(self.experiments, api.V2beta1Experiment, "experiment_id", request.body)
            case ("GET", "pipelines"):
                return 200, api.V2beta1ListPipelinesResponse(pipelines=_asked_for(request, self.pipelines))
            case ("POST", "pipelines"):
                return _add(self.pipelines, api.V2beta1Pipeline, "pipeline_id", request.body)
            case ("POST", "pipelines", "upload_version"):
                return self._upload_version(request)
            case ("GET", "pipelines", pipeline_id, "versions"):
                found = [version for version in self.versions if version.pipeline_id == pipeline_id]
                if request.query.get("sort_by") == "created_at desc":
                    found.sort(key=lambda version: version.created_at, reverse=True)
                return 200, api.V2beta1ListPipelineVersionsResponse(pipeline_versions=_asked_for(request, found))
            case ("GET", "pipelines", _, "versions", version_id):
                return 200, next(version for version in self.versions if version.pipeline_version_id == version_id)
            case ("PATCH", "pipelines", _, "versions", version_id) if self.number >= (2, 17):
                (version,) = [version for version in self.versions if version.pipeline_version_id == version_id]
                version.tags = request.body["tags"]
                return 200, version
            case ("GET", "recurringruns"):
                return 200, api.V2beta1ListRecurringRunsResponse(recurring_runs=_asked_for(request, self.recurring))
            case ("POST", "recurringruns"):
                return self._schedule(request.body)
            case ("DELETE", "recurringruns", recurring_id):
                self.recurring = [run for run in self.recurring if run.recurring_run_id != recurring_id]
                if self.number < (2, 16) or request.query.get("propagation_policy") != "ORPHAN":  # the workflows are its own
                    owned = [i for i, run in self.runs.items() if run["body"].get("recurring_run_id") == recurring_id]
                    self.runs = {i: run for i, run in self.runs.items() if i not in owned}
                return 200, {}
            case ("POST", "runs"):
                return self._start_run(request.body)
            case ("GET", "runs"):
                return 200, api.V2beta1ListRunsResponse(runs=_asked_for(request, [self.run(run_id) for run_id in self.runs]))
            case ("GET", "runs", run_id) if run_id in self.runs:
                self.runs[run_id]["looks"] += self.pace
                return 200, self.run(run_id)
            case ("POST", "runs", order) if order.endswith(":terminate") and order.split(":")[0] in self.runs:
                self.runs[order.split(":")[0]]["terminated"] = True
                return 200, {}
        return 404, error_body(5, f"{path} not found")

    @property
    def number(self) -> tuple[int, int]:
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    def health(self) -> bytes | dict[str, Any]:
        """What it says of itself, as that version writes it (`apiserver/main.go`; the UI's `handlers/healthz.ts`)."""
        tag = self.tag if self.tag is not None else self.version if self.number >= (2, 16) else UNKNOWN
        commit = "0" * 40 if self.number >= (2, 16) else UNKNOWN
        store = {"pipeline_store": "database"} if self.number >= (2, 14) else {}
        said = {"commit_sha": commit, "tag_name": tag, "multi_user": self.multi_user} | store
        if self.ui:
            named = {"apiServerCommitHash": commit, "apiServerTagName": tag, "apiServerMultiUser": self.multi_user}
            more = {"pipelineStore": "database"} if store else {}
            return {"frontendTagName": tag, "apiServerReady": True, "multi_user": self.multi_user} | named | more
        if self.number >= (2, 17):
            return said
        text = f'{{"commit_sha":"{commit}", "tag_name":"{tag}", "multi_user":{json.dumps(self.multi_user)}'
        return (text + (', "pipeline_store": "database"}' if store else "}")).encode()

    def understood(self, platforms: Any) -> Any:
        """The platform spec, or None if it has a field that this version does not know."""
        unknown = [field for field, since in LATE_FIELDS.items() if since > self.number]
        return None if any(re.fullmatch(field, path) for path in _paths(platforms) for field in unknown) else platforms

    def _upload_version(self, request: Request) -> tuple[int, Any]:
        pipeline, *platforms = yaml.safe_load_all(request.body)
        spec = {"pipeline_spec": pipeline, "platform_spec": platforms[0]} if platforms else pipeline
        about = {"pipeline_id": request.query["pipelineid"], "display_name": request.query["name"], "pipeline_spec": spec}
        if self.number >= (2, 17) and "tags" in request.query:  # older ones do not look at it
            about["tags"] = json.loads(request.query["tags"])
        return _add(self.versions, api.V2beta1PipelineVersion, "pipeline_version_id", about)

    def _schedule(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Make a recurring run; names are not unique (`recurring_run.proto`)."""
        cron = body["trigger"]["cron_schedule"]["cron"]
        if len(cron.split()) not in (5, 6):
            return 400, error_body(3, "Schedule cron is not a supported format")
        if not 1 <= int(body["max_concurrency"]) <= 10:
            return 400, error_body(3, "Max concurrency of a recurring run must be at least 1 and at most 10")
        made = api.V2beta1RecurringRun(
            **{**body, "recurring_run_id": f"recurring-{len(self.received)}", "max_concurrency": str(body["max_concurrency"])},
            status="ENABLED" if body["mode"] == "ENABLE" else "DISABLED",
            created_at=START,
        )
        self.recurring.append(made)
        return 200, made

    def _start_run(self, body: dict[str, Any]) -> tuple[int, Any]:
        spec = body.get("pipeline_spec")
        if "pipeline_version_reference" in body:
            wanted = body["pipeline_version_reference"]["pipeline_version_id"]
            spec = next((version.pipeline_spec for version in self.versions if version.pipeline_version_id == wanted), None)
        platform = self.understood(spec.get("platform_spec")) if isinstance(spec, dict) else None
        spec = spec.get("pipeline_spec", spec) if isinstance(spec, dict) else {}
        if "root" not in spec:
            return 400, error_body(3, "Invalid input error: no pipeline")
        run_id = f"0000-{len(self.runs) + 1}"
        self.runs[run_id] = {"body": body, "spec": spec, "platform": platform, "looks": 0, "terminated": False}
        return 200, self.run(run_id)

    def run(self, run_id: str) -> api.V2beta1Run:
        """A run as it is now: each look at it has brought it further."""
        record = self.runs[run_id]
        plan = list(self._plan(record["spec"]))
        looks, body = record["looks"], record["body"]
        over = record["terminated"] or (looks > len(plan) and self.outcome != "RUNNING")
        state = "CANCELED" if record["terminated"] else END_STATES.get(self.outcome, self.outcome) if over else "RUNNING"
        nodes = self._nodes(plan, looks, over) if looks else None
        return api.V2beta1Run(
            run_id=run_id,
            experiment_id=body["experiment_id"],
            display_name=body["display_name"],
            description=body.get("description"),
            service_account=body.get("service_account"),
            recurring_run_id=body.get("recurring_run_id"),
            storage_state="AVAILABLE",
            runtime_config=body.get("runtime_config"),
            state=state if looks or over else "PENDING",
            created_at=START,
            scheduled_at=START,
            finished_at=START + timedelta(seconds=STAGE_S * len(plan)) if over else NEVER,
            error=api.GoogleRpcStatus(code=2, message=self.error) if over and self.error else None,
            state_history=[api.V2beta1RuntimeStatus(update_time=START, state=state)],
            run_details=api.V2beta1RunDetails(task_details=nodes) if nodes else None,
        )

    def _plan(self, spec: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
        """Tasks in order, and the state in which each ends; None for one that is left out."""
        failed = False
        for name, cleans_up in _tasks(spec, spec["root"]["dag"]):
            if failed and not cleans_up:
                continue
            if name == "promote":
                yield name, "SUCCEEDED" if self.outcome == "SUCCEEDED" else None
            elif name == "reject":
                yield name, "FAILED" if self.outcome == "REJECTED" else None
                failed = self.outcome == "REJECTED"
            elif self.outcome in ("FAILED", "NOT STARTED") and name == self.fail_at:
                yield name if self.outcome == "FAILED" else f"{name}-driver", "FAILED"
                failed = True
            else:
                yield name, "SUCCEEDED"

    def _nodes(self, plan: list[tuple[str, str | None]], looks: int, over: bool) -> list[api.V2beta1PipelineTaskDetail]:
        nodes = [_node("root", "SUCCEEDED" if over else "RUNNING", 0, over), _node("root-driver", "SUCCEEDED", 0, True)]
        for number, (name, end) in enumerate(plan[:looks]):
            ended = number < looks - 1
            state = end if ended or not end else "FAILED" if over else "RUNNING"  # Argo says so of what it stops
            for part in range(self.parts.get(name, 1)):
                nodes.append(_node(name, state, number, ended or over, part))
            nodes.append(_node("executor", state, number, ended or over))
            if not name.endswith("-driver"):
                nodes.append(_node(f"{name}-driver", "SUCCEEDED", number, True))
        return sorted(nodes, key=lambda node: node.task_id)


def error_body(code: int, message: str) -> dict[str, Any]:
    """An error as grpc-gateway writes it."""
    return {"error": message, "code": code, "message": message, "details": []}


def _add(there: list[Any], model: type, key: str, about: dict[str, Any]) -> tuple[int, Any]:
    """Make one more thing, unless one of that name is there."""
    if any(thing.display_name == about["display_name"] and _owner(thing) == about.get("pipeline_id") for thing in there):
        return 409, error_body(6, "already exists")
    made = model(**{key: f"{key.removesuffix('_id')}-{len(there) + 1}"}, created_at=START, **about)
    there.append(made)
    return 200, made


def _paths(content: Any, path: str = "") -> Iterator[str]:
    """Where each field of nested mappings and lists is."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield f"{path}{key}"
            yield from _paths(value, f"{path}{key}.")


def _owner(thing: Any) -> str | None:
    return thing.pipeline_id if hasattr(thing, "pipeline_version_id") else None


def _asked_for(request: Request, things: list[Any]) -> list[Any] | None:
    experiment = request.query.get("experiment_id")
    predicates = json.loads(request.query.get("filter") or "{}").get("predicates", [])
    found = [thing for thing in things if not experiment or thing.experiment_id == experiment]
    return [t for t in found if all(p["operation"] == 1 and getattr(t, p["key"]) == p["stringValue"] for p in predicates)] or None


def _tasks(spec: dict[str, Any], dag: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Container tasks, each after those it needs, and whether it runs even if these failed."""
    waiting, done = dict(dag["tasks"]), set()
    while waiting:
        name = min(name for name, task in waiting.items() if set(task.get("dependentTasks", ())) <= done)
        task = waiting.pop(name)
        done.add(name)
        component = spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            yield from _tasks(spec, component["dag"])
        else:
            yield name, task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"


def _node(name: str, state: str | None, number: int, ended: bool, part: int = 0) -> api.V2beta1PipelineTaskDetail:
    begin = START + timedelta(seconds=STAGE_S * number)
    return api.V2beta1PipelineTaskDetail(
        run_id="run",
        task_id=f"{zlib.crc32(f'{name} {number} {part}'.encode()):010}",
        display_name=name,
        create_time=START,
        start_time=begin if state else NEVER,
        end_time=begin + timedelta(seconds=STAGE_S) if ended and state else NEVER,
        state=state,
    )
