"""What `submit` asks of a server is what kfp's own client asks, and that client takes the double for a server."""

import json
import warnings

import kfp
import pytest

from globe.redactor import Redactor
from pipelines.remote.access import Token
from pipelines.remote.client import KfpApi
from pipelines.remote.connection import Connection, Limits
from pipelines.remote.package import Package
from pipelines.remote.recurring import RecurringRuns, Schedule

from .kfp_api_double import KfpApiDouble
from .kfp_backend import KfpBackend, Request

ARGUMENTS = {"model": "/models/m", "gpus": 2, "tags": ["a"]}
TOKEN = "a-token-of-some-length"


@pytest.fixture
def official(clean_environment, monkeypatch, tmp_path):
    """kfp's client for a server."""
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))

    def official(server: KfpApiDouble, namespace: str = "kubeflow") -> kfp.Client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kfp.Client(host=server.url, existing_token=TOKEN, namespace=namespace)

    return official


def ours(server: KfpApiDouble, namespace: str = "") -> KfpApi:
    token = Token("test", value=TOKEN)
    link = Connection(server.url, token, limits=Limits(), redactor=Redactor({}), say=print)
    return KfpApi(link, namespace)


def comparable(requests: list[Request], *, without: tuple[str, ...] = ()) -> list[tuple]:
    """Requests without what may differ: the paging of lists, empty values, and what only one of the two sends."""
    plain = []
    for request in requests:
        query = {name: value for name, value in request.query.items() if name in ("filter", "namespace", "name", "pipelineid")}
        if "filter" in query:
            query["filter"] = json.dumps(json.loads(query["filter"]))
        body = request.body if isinstance(request.body, dict) else {}
        body = {key: value for key, value in body.items() if value != "" and key not in without}
        plain.append((request.what, query, body, request.headers.get("authorization")))
    return plain


def test_a_run_of_a_package_is_asked_for_as_kfps_client_does(official, package):
    with KfpApiDouble() as server:
        official(server).create_run_from_pipeline_package(
            str(package), arguments=ARGUMENTS, experiment_name="ci", run_name="r", service_account="runner"
        )
        theirs = list(server.backend.received)
    with KfpApiDouble() as server:
        api = ours(server)
        api.health()
        experiment = api.experiment("ci")
        api.create_run(experiment, "r", "mark", ARGUMENTS, package=Package.read(package), service_account="runner")
    assert comparable(server.backend.received, without=("description",)) == comparable(theirs)


def test_the_experiment_of_a_namespace_is_asked_for_as_kfps_client_does(official):
    with KfpApiDouble(KfpBackend(multi_user=True)) as server:
        official(server, "ada").create_experiment("ci", namespace="ada")
        theirs = server.received("GET /experiments") + server.received("POST /experiments")
    with KfpApiDouble(KfpBackend(multi_user=True)) as server:
        ours(server, "ada").experiment("ci")
    assert comparable(server.backend.received) == comparable(theirs)


def test_a_version_is_uploaded_and_run_as_kfps_client_does(official, package):
    digest = Package.read(package).digest
    with KfpApiDouble() as server:
        api = ours(server)
        pipeline, version = api.version(Package.read(package))
        api.create_run(api.experiment("ci"), "r", "mark", ARGUMENTS, version=(pipeline, version))
        mine = server.received("POST /pipelines/upload_version") + server.received("POST /runs")
        before = len(server.backend.received)
        client = official(server)
        with pytest.raises(kfp.client.client.kfp_server_api.ApiException, match="already exists"):
            client.upload_pipeline_version(str(package), digest, pipeline_id=pipeline.pipeline_id)
        client.run_pipeline(
            "experiment-1",
            "r",
            pipeline_id=pipeline.pipeline_id,
            version_id=version.pipeline_version_id,
            params=ARGUMENTS,
        )
        theirs = [request for request in server.backend.received[before:] if request.method == "POST"]
    assert comparable(mine, without=("description",)) == comparable(theirs)
    assert mine[0].body == theirs[0].body == package.read_text()


def test_a_recurring_run_is_asked_for_as_kfps_client_does(official, package):
    compiled = Package.read(package)
    with KfpApiDouble() as server:
        api = ours(server)
        runs = RecurringRuns(api, api.experiment("ci"))
        version = api.version(compiled)
        runs.create(Schedule("nightly", "0 0 3 * * *", compiled, ARGUMENTS, account="runner"), version, "mark")
        before = len(server.backend.received)
        official(server).create_recurring_run(
            "experiment-1",
            "nightly",
            cron_expression="0 0 3 * * *",
            max_concurrency=1,
            no_catchup=True,
            params=ARGUMENTS,
            pipeline_id=version[0].pipeline_id,
            version_id=version[1].pipeline_version_id,
            service_account="runner",
        )
        mine = [request for request in server.backend.received[:before] if request.what == "POST /recurringruns"]
        theirs = [request for request in server.backend.received[before:] if request.method == "POST"]
        listed = official(server).list_recurring_runs(experiment_id="experiment-1").recurring_runs
        assert [run.recurring_run_id for run in runs.all("nightly")] == [run.recurring_run_id for run in listed]
    assert as_numbers(comparable(mine, without=("description",))) == as_numbers(comparable(theirs))


def as_numbers(requests: list[tuple]) -> list[tuple]:
    """Requests with int64 values as numbers: JSON of protobuf may write them as texts, and reads both."""
    return [(what, query, body | {"max_concurrency": int(body["max_concurrency"])}, who) for what, query, body, who in requests]


def test_kfps_client_can_follow_a_run_on_the_double_and_both_see_the_same(official, package):
    with KfpApiDouble() as server:
        client = official(server)
        started = client.create_run_from_pipeline_package(str(package), arguments=ARGUMENTS, experiment_name="ci")
        ended = client.wait_for_run_completion(started.run_id, timeout=60, sleep_duration=0)
        mine = ours(server).run(started.run_id)
    assert ended.state == mine.state == "SUCCEEDED"
    theirs = [(task.display_name, task.state or "RUNTIME_STATE_UNSPECIFIED") for task in ended.run_details.task_details]
    assert [(task.display_name, task.state) for task in mine.tasks] == theirs
    assert ("evaluation-driver", "SUCCEEDED") in theirs


def test_the_stages_are_those_of_the_pipeline_in_an_order_they_can_run_in(package):
    titles = Package.read(package).stages
    assert list(titles) == ["source", "evaluation", "gate", "promote", "reject", "teardown"]
    assert titles["evaluation"] == "Evaluation of pictures"
