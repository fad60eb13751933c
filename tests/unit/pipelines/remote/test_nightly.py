"""manifests/nightly: what the CronJob runs, as the process that it is, against a server."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import kfp_server_api as api
import pytest
import yaml
from recorder import recorder

from components.images import image
from globe.keys import may_carry_secrets
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED
from pipelines.remote.package import Package

from .kfp_api_double import Fault, KfpApiDouble
from .kfp_backend import START, KfpBackend

FOLDER = Path(__file__).parents[4] / "manifests" / "nightly"
MADE_BEFORE = START.replace(year=2025)


def documents():
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl, which renders kustomizations")
    text = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=True).stdout
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def pod():
    return documents()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def backend(**more) -> KfpBackend:
    """A server on which an older and a newer version of the evaluation are."""
    spec = next(yaml.safe_load_all((COMPILED / "kfp-2.16" / "evaluation.yaml").read_text()))
    versions = [
        api.V2beta1PipelineVersion("p", name, name, pipeline_spec={"pipeline_spec": spec}, created_at=made)
        for name, made in (("older", MADE_BEFORE), ("newer", START))
    ]
    for version, name in zip(versions, ("older", "newer"), strict=True):
        version.pipeline_id, version.pipeline_version_id, version.display_name = "p", name, name
    pipeline = api.V2beta1Pipeline(pipeline_id="p", display_name="globe-evaluation")
    return KfpBackend(pipelines=[pipeline], versions=versions, **more)


@pytest.fixture
def night(tmp_path):
    """Run the file as the pod does, with the environment that the manifest gives."""

    def night(server: KfpApiDouble, name: str = "globe-nightly-1", **more: str) -> subprocess.CompletedProcess:
        given = {entry["name"]: entry["value"] for entry in pod()["containers"][0]["env"] if "value" in entry}
        told = {"KFP_HOST": server.url, "NAME": name, "NAMESPACE": "ada", "PARAMETERS": str(FOLDER / "parameters.json")}
        told |= {"PAUSE_S": "0", "KF_PIPELINES_SA_TOKEN_PATH": str(tmp_path / "none"), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-S", "-E", str(FOLDER / "start.py")]  # with nothing but Python's own library
        return subprocess.run(command, env=given | told | more, capture_output=True, text=True, timeout=60)

    return night


def test_the_newest_version_is_started_with_the_parameters_of_the_file(night):
    with KfpApiDouble(backend()) as server:
        done = night(server)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "started globe-nightly-1: globe-evaluation newer\n"
    (sent,) = server.received("POST /runs")
    assert sent.body["pipeline_version_reference"] == {"pipeline_id": "p", "pipeline_version_id": "newer"}
    assert sent.body["runtime_config"] == {"parameters": json.loads((FOLDER / "parameters.json").read_text())}
    assert sent.body["service_account"] == "globe-serving"
    assert [experiment.display_name for experiment in server.backend.experiments] == ["globe-nightly"]
    assert not any("namespace" in request.query for request in server.backend.received)


def test_the_parameters_are_ones_that_the_pipeline_has(night):
    Package.read(COMPILED / "kfp-2.17" / "evaluation.yaml").check(json.loads((FOLDER / "parameters.json").read_text()))
    PIPELINES["evaluation"].parameters(**json.loads((FOLDER / "parameters.json").read_text()))


def test_a_token_goes_neither_in_the_clear_to_a_host_far_off_nor_where_a_redirect_leads(night, tmp_path):
    (tmp_path / "token").write_text("planted-token-4711")
    token = {"KF_PIPELINES_SA_TOKEN_PATH": str(tmp_path / "token")}
    with recorder() as collector, recorder(302, f"{collector.url}/apis") as server:
        done = night(server, **token)
        assert (done.returncode, collector.paths) == (1, [])
        assert "GET healthz: 302" in done.stderr
        done = night(server, **token, KFP_HOST="http://kfp.example:8888", http_proxy=collector.url)
    assert (done.returncode, collector.paths) == (1, [])
    assert "KFP_HOST http://kfp.example:8888: plain http" in done.stderr


@pytest.mark.parametrize("url", ["https://kfp.example", "http://127.0.0.1:1", "http://ml-pipeline:8888", "http://10.0.0.1:8888"])
def test_its_token_goes_wherever_the_commands_would_go(url):
    assert start().is_private(url)
    assert may_carry_secrets(url)
    for other in (
        "http://kfp.example",
        "http://8.8.8.8",
        "http://134744072",
        "http://a.svc.example.org",
        "http://kubeflow.example",
    ):
        assert not start().is_private(other)
        assert not may_carry_secrets(other)
    assert start().is_private({entry["name"]: entry.get("value") for entry in pod()["containers"][0]["env"]}["KFP_HOST"])


def start() -> ModuleType:
    """The file as a module."""
    spec = importlib.util.spec_from_file_location("nightly_start", FOLDER / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_night_has_one_run_however_often_its_pod_is_started(night):
    with KfpApiDouble(backend()) as server:
        night(server)
        again = night(server)
    assert (again.returncode, again.stdout) == (0, "globe-nightly-1 has been started already\n")
    assert len(server.received("POST /runs")) == 1


@pytest.mark.parametrize("how", ["lost", "gateway"])
def test_an_answer_that_got_lost_fails_the_pod_and_the_next_one_finds_the_run(night, how):
    with KfpApiDouble(backend(), faults=[Fault("POST /runs", how, times=1)]) as server:
        assert night(server).returncode == 1
        assert night(server).stdout == "globe-nightly-1 has been started already\n"
        assert len(server.backend.runs) == 1


def test_a_run_that_is_still_going_on_is_not_joined_by_another(night):
    with KfpApiDouble(backend()) as server:
        night(server)
        second = night(server, "globe-nightly-2")
        server.backend.runs["0000-1"]["terminated"] = True
        third = night(server, "globe-nightly-3")
    assert second.stdout == "globe-nightly-1 is still going on: nothing is started\n"
    assert third.stdout.startswith("started globe-nightly-3")


def test_a_server_that_is_restarting_is_asked_again(night):
    with KfpApiDouble(backend(), faults=[Fault("GET", 503, times=4)]) as server:
        assert night(server).returncode == 0


@pytest.mark.parametrize("version", ["2.5.0", "2.15.0", "2.16.0", "2.17.0"])
def test_every_version_of_kfp_takes_it_and_a_multi_user_one_is_told_the_namespace_and_the_token(night, tmp_path, version):
    token = tmp_path / "token"
    token.write_text("a-token\n")
    with KfpApiDouble(backend(version=version, multi_user=True), tokens={"a-token"}) as server:
        done = night(server, KF_PIPELINES_SA_TOKEN_PATH=str(token))
    assert done.returncode == 0, done.stderr
    assert server.received("POST /experiments")[0].body["namespace"] == "ada"
    assert server.received("GET /pipelines")[0].query["namespace"] == "ada"


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (KfpBackend(), "no pipeline globe-evaluation: upload one, or kubectl apply --server-side -k manifests/pipelines"),
        (KfpBackend(pipelines=[api.V2beta1Pipeline(pipeline_id="p", display_name="globe-evaluation")]), "has no version"),
    ],
)
def test_what_is_missing_is_said_in_the_pods_log_and_fails_it(night, server, says):
    with KfpApiDouble(server) as running:
        done = night(running)
    assert done.returncode == 1
    assert says in done.stderr
    assert not running.received("POST /runs")


def test_a_refusal_is_told_without_the_token(night, tmp_path):
    token = tmp_path / "token"
    token.write_text("planted-secret")
    with KfpApiDouble(backend(), tokens={"another"}) as server:
        done = night(server, KF_PIPELINES_SA_TOKEN_PATH=str(token))
    assert done.returncode == 1
    assert "401" in done.stderr
    assert "no such token: Bearer (the token)" in done.stderr  # the double says which one it refuses
    assert "planted-secret" not in done.stdout + done.stderr


def test_the_job_runs_this_file_in_the_pinned_image_and_confined_like_a_server():
    (container,) = pod()["containers"]
    assert container["image"] == image("evaluate")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    config = documents()["ConfigMap"]
    assert config["data"]["start.py"] == (FOLDER / "start.py").read_text()
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert mounts["/nightly"]["configMap"]["name"] == config["metadata"]["name"]
    assert container["command"] == ["python3", "/nightly/start.py"]
    (source,) = mounts["/var/run/secrets/kubeflow/pipelines"]["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
