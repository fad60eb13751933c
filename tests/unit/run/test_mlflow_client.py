"""How a request gets in by MLflow's variables, and what an answer means."""

import base64

import pytest
from mlflow_double import mlflow_double
from recorder import recorder
from webhook_server import webhook_server

from globe.run.mlflow_client import KnownRun, Metric, MlflowRun, Refused, headers_of, run_of
from globe.web import Unanswered

SECRET = "planted-secret-0815"
HERE = {"MLFLOW_TRACKING_URI": "https://mlflow.example/x", "MLFLOW_RUN_ID": "task"}


@pytest.fixture
def account(tmp_path):
    (tmp_path / "token").write_text(f"{SECRET}\n")
    (tmp_path / "namespace").write_text("team\n")
    return tmp_path


@pytest.mark.parametrize(
    ("variables", "headers"),
    [
        ({}, {}),
        ({"MLFLOW_TRACKING_TOKEN": "t"}, {"Authorization": "Bearer t"}),
        (
            {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pä:ss", "MLFLOW_TRACKING_TOKEN": "t"},
            {"Authorization": "Basic " + base64.b64encode("me:pä:ss".encode()).decode()},
        ),
        ({"MLFLOW_TRACKING_USERNAME": "me"}, {}),
        ({"MLFLOW_WORKSPACE": "w"}, {"X-MLFLOW-WORKSPACE": "w"}),
        ({"MLFLOW_TRACKING_AUTH": "kubernetes", "MLFLOW_TRACKING_TOKEN": "t"}, {"Authorization": f"Bearer {SECRET}"}),
        (
            {"MLFLOW_TRACKING_AUTH": "kubernetes-namespaced"},
            {"Authorization": f"Bearer {SECRET}", "X-MLFLOW-WORKSPACE": "team"},
        ),
        (
            {"MLFLOW_TRACKING_AUTH": "kubernetes-namespaced", "MLFLOW_WORKSPACE": "w"},
            {"Authorization": f"Bearer {SECRET}", "X-MLFLOW-WORKSPACE": "w"},
        ),
    ],
)
def test_each_way_in_makes_its_headers(account, variables, headers):
    assert headers_of(variables, account) == headers


def test_a_pods_token_that_changes_is_read_anew(account):
    variables = {"MLFLOW_TRACKING_AUTH": "kubernetes"}
    headers_of(variables, account)
    (account / "token").write_text("newer")
    assert headers_of(variables, account) == {"Authorization": "Bearer newer"}
    (account / "token").unlink()
    assert headers_of(variables, account) == {}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"MLFLOW_RUN_ID": "task"},
        {"MLFLOW_TRACKING_URI": "https://mlflow.example"},
        HERE | {"MLFLOW_TRACKING_URI": "./mlruns"},
        HERE | {"MLFLOW_TRACKING_URI": "databricks"},
        HERE | {"MLFLOW_RUN_ID": " "},
    ],
)
def test_without_a_server_and_a_run_there_is_none(environment):
    assert run_of(environment) is None


def test_neither_address_nor_key_is_shown():
    run = run_of({"MLFLOW_TRACKING_URI": f"https://me:{SECRET}@h", "MLFLOW_RUN_ID": "task", "MLFLOW_TRACKING_TOKEN": SECRET})
    assert SECRET not in repr(run)


def test_what_is_logged_is_there_with_its_last_steps_and_the_run_above():
    with mlflow_double() as server:
        run = run_of({"MLFLOW_TRACKING_URI": f"{server.url}/", "MLFLOW_RUN_ID": "task", "MLFLOW_TRACKING_TOKEN": "t"})
        assert run.known() == KnownRun({}, "pipeline")
        run.log([Metric("loss", 1.5, 7, 1), Metric("loss", 0.5, 8, 2)], {"a": "b"}, {"c": "d"})
        assert run.known() == KnownRun({"loss": 2}, "pipeline")
    task = server.runs["task"]
    assert task.metrics[0] == {"key": "loss", "value": 1.5, "timestamp": 7, "step": 1}
    assert (task.params, task.tags["c"]) == ({"a": "b"}, "d")
    assert [path for path, _ in server.asked] == [f"/api/2.0/mlflow/runs/{name}" for name in ("get", "log-batch", "get")]
    assert all(headers["Authorization"] == "Bearer t" for _, headers in server.asked)


def test_a_run_that_is_not_there_is_refused_and_trouble_is_no_answer():
    with mlflow_double() as server, pytest.raises(Refused, match="it answered 404: RESOURCE_DOES_NOT_EXIST: no such run"):
        MlflowRun(server.url, "nobody").known()
    with mlflow_double(lambda number: 503) as server, pytest.raises(Unanswered, match="it answered 503"):
        MlflowRun(server.url, "task").known()


@pytest.mark.parametrize("status", [302, 401, 403])
def test_a_login_page_or_a_refusal_is_refused(status):
    with webhook_server(lambda number: (status, {"Location": "/login"}, "<html>log in</html>")) as server:
        with pytest.raises(Refused, match=f"it answered {status}: <html>log in</html>"):
            MlflowRun(server.url, "task").log()
        assert server.paths == ["/api/2.0/mlflow/runs/log-batch"]


@pytest.mark.parametrize(
    ("uri", "variables"),
    [
        ("http://mlflow.example", {"MLFLOW_TRACKING_TOKEN": SECRET}),
        ("http://mlflow.example", {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": SECRET}),
        (f"http://me:{SECRET}@mlflow.example", {}),
    ],
)
def test_neither_password_nor_token_is_read_on_its_way_to_a_host_far_off(monkeypatch, uri, variables):
    with recorder() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(Refused, match="MLFLOW_TRACKING_URI: plain http, so no password or token is sent"):
            MlflowRun(uri, "task", variables).known()
        with pytest.raises(Unanswered):  # nothing to hide
            MlflowRun("http://mlflow.example", "task").known()
    assert proxy.keys == [None]


def test_a_certificate_that_is_not_there_is_named_by_its_variable():
    run = MlflowRun("https://127.0.0.1:9", "task", {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/nowhere.pem"})
    with pytest.raises(Refused, match="MLFLOW_TRACKING_SERVER_CERT_PATH"):
        run.known()
