"""Who starts a run's servers, and what is said where nobody can."""

import subprocess
import sys

import pytest
from cluster_servers import MODEL, in_cluster

from globe.errors import GlobeError
from globe.run.cluster import Place
from globe.run.stage import RUN_VARIABLE
from globe.serving.deploy import Deployments
from globe.serving.process import SERVERS_VARIABLE, Processes
from globe.serving.recipe import ServingRecipe
from globe.serving.requested import REQUESTED_VARIABLE, Requests
from globe.serving.server_key import local_key, make_key, stored_key
from globe.serving.servers import find_launcher, run_key, serve, watch


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch):
    for name in (SERVERS_VARIABLE, REQUESTED_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_a_local_run_starts_processes_or_asks_for_containers_even_if_there_is_a_cluster(monkeypatch, tmp_path):
    monkeypatch.setenv(SERVERS_VARIABLE, str(tmp_path))
    assert find_launcher(Place("run-1", cluster=in_cluster())) == Processes(tmp_path)
    monkeypatch.setenv(REQUESTED_VARIABLE, "1")
    assert find_launcher(Place()) == Requests(tmp_path)


def test_cluster_settings_lead_to_pods_of_the_namespace_that_they_name(api):
    launcher = find_launcher(Place("run-1", cluster=in_cluster(namespace="elsewhere")))
    assert isinstance(launcher, Deployments)
    assert launcher.kube.namespace == "elsewhere"


def test_a_stage_that_can_serve_nowhere_says_what_is_missing():
    with pytest.raises(GlobeError, match=f"nowhere to serve: {SERVERS_VARIABLE} is not set"):
        find_launcher(Place("run-1"))


def test_a_stage_on_a_cluster_watches_nothing_and_needs_no_rights_for_it():
    watch("grpo")()


def test_nothing_is_asked_of_the_cluster_when_nobody_will_ask_the_server(api):
    place = Place("run-1", cluster=in_cluster(), store="/nowhere")
    assert serve("serving", {"grpo": MODEL}, ServingRecipe(), place, needed=False, reason="finished") == {}
    assert api.requests == []


def test_a_laptop_does_not_load_the_clusters_client():
    code = "import sys, globe.serving.servers; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_stage_finds_the_key_of_a_server_that_its_run_has_started(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_VARIABLE, "run-1")
    kept = make_key(stored_key(str(tmp_path), "run-1", "grpo"), 0o640)
    assert run_key("grpo", str(tmp_path)) == kept  # in a cluster, among the run's records
    with pytest.raises(GlobeError, match="no key for its server of reward_model"):
        run_key("reward_model", str(tmp_path))
    monkeypatch.setenv(SERVERS_VARIABLE, str(tmp_path / "servers"))
    (tmp_path / "servers").mkdir()
    here = make_key(local_key(tmp_path / "servers", "grpo"), 0o600)
    assert run_key("grpo", "/nowhere") == here != kept


def test_a_run_whose_store_is_on_s3_has_its_keys_there(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_VARIABLE, "run-1")
    assert stored_key("s3://bucket/prefix/", "run-1", "grpo").startswith("s3://bucket/prefix/runs/run-1/server-grpo-")
