"""`submit` from the first request to the exit code, against a server that does what it should."""

import json

import pytest
import yaml

from .kfp_api_double import Fault, KfpApiDouble
from .kfp_backend import KfpBackend


def test_a_run_that_succeeds_ends_with_0_and_shows_its_page_and_its_stages(command, package):
    with KfpApiDouble() as server:
        ended = command(server, "--wait", "--name", "try-1")
    assert ended.code == 0
    assert ended.lines[0].startswith(f"package {package}, for a KFP that it does not name (the server says 2.17.0)")
    assert ended.lines[1:3] == ["run try-1", f"page {server.url}/#/runs/details/0000-1"]
    stages = [line for line in ended.lines if line.split()[0] in ("running", "succeeded", "skipped")]
    assert stages == [
        "running source",
        "succeeded source 1 min",
        "running Evaluation of pictures",
        "succeeded Evaluation of pictures 1 min",
        "running gate",
        "succeeded gate 1 min",
        "running promote",
        "succeeded promote 1 min",
        "running teardown",
        "skipped reject",
        "succeeded teardown 1 min",
    ]
    assert ended.lines[-1] == "end succeeded after 6 min"


def test_the_server_is_told_the_whole_pipeline_and_its_arguments(command, package):
    given = ["--set", "gpus=4", "--set", "tags=[a, b]", "--set", "overrides={x.y: 1}", "--set", "share=1"]
    with KfpApiDouble() as server:
        command(server, *given, "--name", "try-1", "--service-account", "runner", env={"KFP_TOKEN": "a-token"})
    (sent,) = server.received("POST /runs")
    pipeline, platform = yaml.safe_load_all(package.read_text())
    assert sent.body["pipeline_spec"] == {"pipeline_spec": pipeline, "platform_spec": platform}
    assert "globe-s3" in json.dumps(platform)
    arguments = {"model": "/models/m", "gpus": 4, "tags": ["a", "b"], "overrides": {"x.y": 1}, "share": 1}
    assert sent.body["runtime_config"] == {"parameters": arguments}
    assert (sent.body["display_name"], sent.body["service_account"]) == ("try-1", "runner")
    assert sent.body["experiment_id"] == server.backend.experiments[0].experiment_id
    assert {request.headers["authorization"] for request in server.backend.received} == {"Bearer a-token"}


def test_a_pipeline_without_kubernetes_settings_is_sent_as_one_document(command, package, tmp_path):
    alone = tmp_path / "alone.yaml"
    alone.write_text(package.read_text().split("\n---\n")[0])
    with KfpApiDouble() as server:
        assert command(server, pipeline=alone).code == 0
    assert "root" in server.received("POST /runs")[0].body["pipeline_spec"]


def test_without_wait_a_run_is_started_and_left_alone(command):
    with KfpApiDouble() as server:
        ended = command(server)
    assert ended.code == 0
    assert "/#/runs/details/0000-1" in ended.out
    assert not server.received("GET /runs")


def test_two_submissions_share_an_experiment_and_have_names_of_their_own(command):
    with KfpApiDouble() as server:
        assert command(server, "--experiment", "nightly").code == 0
        assert command(server, "--experiment", "nightly").code == 0
    assert [experiment.display_name for experiment in server.backend.experiments] == ["nightly"]
    first, second = server.received("POST /runs")
    assert first.body["display_name"] != second.body["display_name"]
    assert first.body["display_name"].startswith("globe-evaluation-")
    assert first.body["description"] != second.body["description"]


def test_a_failed_stage_ends_with_1_and_is_named_with_what_the_server_says(command):
    with KfpApiDouble(KfpBackend("FAILED", error="pod OOMKilled")) as server:
        ended = command(server, "--wait")
    assert ended.code == 1
    assert "failed Evaluation of pictures 1 min" in ended.lines
    assert ended.lines[-3:] == ["end failed after 3 min", "why stage Evaluation of pictures failed", "why pod OOMKilled"]


def test_a_stage_whose_driver_failed_counts_as_failed(command):
    with KfpApiDouble(KfpBackend("NOT STARTED")) as server:
        ended = command(server, "--wait")
    assert ended.code == 1
    assert "why stage Evaluation of pictures failed: could not be started (its driver pod failed)" in ended.lines


def test_a_rejected_model_ends_with_1_and_is_not_called_a_failure(command):
    with KfpApiDouble(KfpBackend("REJECTED")) as server:
        ended = command(server, "--wait")
    assert ended.code == 1
    assert ended.lines[-1] == "end rejected by the gate after 6 min"


@pytest.mark.parametrize("outcome", ["CANCELED", "SKIPPED"])
def test_a_run_that_somebody_ends_is_an_end_and_no_success(command, outcome):
    with KfpApiDouble(KfpBackend(outcome)) as server:
        ended = command(server, "--wait")
    assert ended.code == 1
    assert ended.lines[-1].startswith(f"end {outcome.lower()}")


def test_a_run_that_does_not_end_in_time_ends_with_3_and_goes_on(command):
    with KfpApiDouble(KfpBackend("RUNNING")) as server:
        ended = command(server, "--wait", "--timeout", "0.5s")
    assert ended.code == 3
    assert "did not end within" in ended.err
    assert f"the run goes on: {server.url}/#/runs/details/0000-1" in ended.err
    assert not server.received("POST /runs/0000-1:terminate")


def test_a_run_that_was_deleted_ends_with_1(command):
    with KfpApiDouble(KfpBackend("RUNNING"), faults=[Fault("GET /runs/", 404, skip=3)]) as server:
        ended = command(server, "--wait")
    assert ended.code == 1
    assert "it has been deleted" in ended.err


def test_parallel_parts_of_a_stage_are_counted_as_one(command):
    with KfpApiDouble(KfpBackend(parts={"evaluation": 8})) as server:
        ended = command(server, "--wait")
    assert "running Evaluation of pictures 0 of 8 parts" in ended.lines
    assert "succeeded Evaluation of pictures 1 min 8 of 8 parts" in ended.lines


def test_a_server_with_many_users_needs_a_namespace(command):
    with KfpApiDouble(KfpBackend(multi_user=True)) as server:
        ended = command(server)
        assert ended.code == 2
        assert "--namespace" in ended.err
        assert not server.received("POST")
        assert command(server, "--namespace", "ada").code == 0
    assert server.received("GET /experiments")[0].query["namespace"] == "ada"
    assert server.received("POST /experiments")[0].body["namespace"] == "ada"


def test_the_page_is_that_of_the_ui_where_it_has_another_address(command):
    with KfpApiDouble() as server:
        ended = command(server, env={"KF_PIPELINES_UI_ENDPOINT": "https://kubeflow.example/pipeline/"})
    assert "page https://kubeflow.example/pipeline/#/runs/details/0000-1" in ended.lines


def test_the_address_can_have_a_path(command):
    with KfpApiDouble() as server:
        ended = command(f"{server.url}/pipeline/")
    assert ended.code == 2
    assert {request.path.split("/apis/")[0] for request in server.backend.received} == {"/pipeline"}


def test_upload_makes_a_version_once_and_runs_it(command, package):
    with KfpApiDouble() as server:
        assert command(server, "--upload").code == 0
        assert command(server, "--upload").code == 0
    assert [pipeline.display_name for pipeline in server.backend.pipelines] == ["globe-evaluation"]
    (upload,) = server.received("POST /pipelines/upload_version")
    assert upload.body == package.read_text()
    for run in server.received("POST /runs"):
        assert run.body["pipeline_version_reference"] == {
            "pipeline_id": "pipeline-1",
            "pipeline_version_id": "pipeline_version-1",
        }
        assert "pipeline_spec" not in run.body


def test_a_changed_pipeline_becomes_another_version_of_the_same_pipeline(command, package, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(package.read_text().replace("registry.example/evaluate:1", "registry.example/evaluate:2"))
    with KfpApiDouble() as server:
        assert command(server, "--upload").code == 0
        assert command(server, "--upload", pipeline=changed).code == 0
    assert len(server.backend.pipelines) == 1
    assert len({version.display_name for version in server.backend.versions}) == 2


@pytest.mark.parametrize("what", ["GET /experiments", "GET /pipelines?", "GET /pipelines/pipeline-1/versions"])
def test_what_somebody_else_makes_at_the_same_moment_is_taken(command, what):
    with KfpApiDouble() as server:
        assert command(server, "--upload").code == 0
        server.faults.append(Fault(what.rstrip("?"), "empty", times=1))
        ended = command(server, "--upload")
    assert ended.code == 0, ended.err
    backend = server.backend
    assert (len(backend.experiments), len(backend.pipelines), len(backend.versions)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("colour=red", "no parameter 'colour'; it has baselines, gpus, model"),
        ("gpus=many", "gpus: must be a whole number, not 'many'"),
        ("gpus=1.5", "gpus: must be a whole number, not 1.5"),
        ("gpus=true", "gpus: must be a whole number, not True"),
        ("share=half", "share: must be a number"),
        ("baselines=1", "baselines: must be true or false"),
        ("tags=a", "tags: must be a list"),
        ("overrides=[1]", "overrides: must be a mapping"),
        ("result=7", "result: must be a text, not 7; quote it: --set \"result='7'\""),
    ],
)
def test_a_parameter_that_does_not_fit_is_bad_input_before_anything_is_asked_of_the_server(command, setting, said):
    with KfpApiDouble() as server:
        ended = command(server, "--set", setting)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not server.backend.received


def test_a_parameter_without_default_must_be_given(command, package):
    with KfpApiDouble() as server:
        ended = command(server, pipeline=package, settings="")
    assert ended.code == 2
    assert "parameter 'model' has no default" in ended.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("{", "not YAML"),
        ("a: 2024-13-45", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        ("", "not a compiled pipeline"),
        ("- a\n", "not a compiled pipeline"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "not a compiled pipeline"),
        ("pipelineInfo: {name: x}\nroot: {dag: {tasks: {}}}\ncomponents: {}\nschemaVersion: 1.0\n", "not a compiled pipeline"),
    ],
)
def test_a_file_that_is_no_compiled_pipeline_is_bad_input(command, tmp_path, content, said):
    path = tmp_path / "pipeline.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = command("http://127.0.0.1:9", pipeline=path)
    assert ended.code == 2
    assert said in ended.err
    assert str(path) in ended.err


@pytest.mark.parametrize("text", ["soon", "0", "-5s", "6 hours", "1h30m", ""])
@pytest.mark.parametrize("option", ["--timeout", "--poll", "--patience"])
def test_what_is_no_duration_is_bad_input(command, option, text):
    ended = command("http://127.0.0.1:9", option, text)
    assert ended.code == 2
    assert f"{option} {text!r}: not a duration" in ended.err
