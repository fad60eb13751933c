"""What a run has left in the cluster goes, to the last pod, and nothing else does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cluster_servers import MODEL, asked, start
from cluster_servers import place as where
from command_line import globe, refused

from globe.errors import GlobeError, InputError
from globe.serving import cleanup
from globe.serving import kube as kube_module
from globe.serving.cleanup import clean_orphans, clean_run
from globe.serving.kube import connect
from globe.serving.manifest import HOME_LABEL, base, run_labels

ROOT = Path(__file__).parents[3]
ROLES = (ROOT / "manifests" / "cleanup" / "account.yaml", ROOT / "manifests" / "trainer" / "rights.yaml")


@pytest.fixture
def made_in(tmp_path, monkeypatch):
    """A function that serves models as a run's pod in a namespace does."""

    def make(run, home, models=("grpo",)):
        file = tmp_path / "namespace"
        file.write_text(home)
        monkeypatch.setattr(kube_module, "NAMESPACE_FILE", file if home else tmp_path / "no-such-file")
        start(where(run, 1), dict.fromkeys(models, MODEL))

    return make


def names(api):
    """The runs that have something in the cluster, by kind."""
    labels = {kind: [item["metadata"]["labels"] for item in found.values()] for kind, found in api.objects.items()}
    return {kind: sorted(one["globe.dev/run"] for one in found) for kind, found in labels.items() if found or kind != "trainjobs"}


def by_hand(api):
    """Deploy a server as manifests/serving does."""
    for manifest, kind in zip(base(), ("deployments", "services"), strict=True):
        api.objects[kind][manifest["metadata"]["name"]] = manifest


def both(*runs):
    return {"deployments": sorted(runs), "services": sorted(runs)}


def test_a_runs_servers_go_and_another_runs_stay(api, made_in):
    by_hand(api)
    made_in("run-1", "runs", ("grpo", "reward-model"))
    made_in("run-10", "runs")
    api.lingering = 3
    gone = clean_run(connect("globe"), "run-1")
    assert sorted((one.kind, one.run, one.model) for one in gone) == [
        (kind, "run-1", model) for kind in ("Deployment", "Service") for model in ("grpo", "reward-model")
    ]
    assert names(api) == both("by-hand", "run-10")
    assert api.lingering == 0  # it has waited for the pods
    assert clean_run(connect("globe"), "run-1") == []


def test_a_runs_trainjob_goes_with_its_servers_and_anothers_stays(api, made_in):
    for run in ("run-1", "run-2"):
        made_in(run, "runs")
        labels = run_labels(run, "train-sft") | {HOME_LABEL: "runs"}
        api.objects["trainjobs"][f"globe-sft-{run}"] = {
            "kind": "TrainJob",
            "metadata": {"name": f"globe-sft-{run}", "labels": labels},
        }
    gone = clean_run(connect("globe"), "run-1")
    assert ("TrainJob", "globe-sft-run-1") in [(one.kind, one.name) for one in gone]
    assert list(api.objects["trainjobs"]) == ["globe-sft-run-2"]


def test_where_nobody_may_see_trainjobs_servers_are_removed_all_the_same(api, made_in):
    made_in("run-1", "runs")
    api.forbidden = {"trainjobs"}
    assert {one.kind for one in clean_run(connect("globe"), "run-1")} == {"Deployment", "Service"}


def test_a_dry_run_says_the_same_and_removes_nothing(api, made_in):
    made_in("run-1", "runs")
    would = clean_run(connect("globe"), "run-1", dry_run=True)
    assert asked(api, "DELETE") == []
    assert clean_run(connect("globe"), "run-1") == would


@pytest.mark.parametrize(
    "run", ["", " ", "by-hand", "*", "run-1,run-2", "a=b", "-x", "https://kfp/#/runs/details/1", "x" * 64, "é"]
)
def test_what_is_no_runs_id_is_refused_before_anything_is_asked(api, run):
    with pytest.raises(InputError, match="not a run's id"):
        clean_run(connect("globe"), run)
    assert api.requests == []


def test_orphans_are_the_servers_of_runs_that_are_finished_or_gone(api, made_in):
    by_hand(api)
    phases = {"going": "Running", "new": "Pending", "unseen": "", "done": "Succeeded", "failed": "Failed", "broken": "Error"}
    for run, phase in phases.items():
        made_in(run, "runs")
        api.workflows["runs", run] = phase
    made_in("deleted", "runs")
    gone = clean_orphans(connect("globe"))
    assert sorted({one.run for one in gone}) == ["broken", "deleted", "done", "failed"]
    assert names(api) == both("by-hand", "going", "new", "unseen")


def test_a_pod_that_does_not_end_keeps_no_other_runs_servers_alive(api, made_in, monkeypatch):
    made_in("a-deleted", "runs")
    made_in("b-deleted", "runs")
    api.lingering = 10**6
    monkeypatch.setattr(cleanup, "DELETION_TIMEOUT_S", 0.0)
    with pytest.raises(GlobeError, match="still there"):
        clean_orphans(connect("globe"))
    assert names(api) == both()


def test_a_run_is_looked_for_where_it_runs_not_where_its_servers_are(api, made_in):
    made_in("elsewhere", "profile-a")
    made_in("nowhere", "profile-a")
    api.workflows["profile-a", "elsewhere"] = "Running"
    api.workflows["globe", "nowhere"] = "Running"  # another run of that name, if there could be one
    assert {one.run for one in clean_orphans(connect("globe"))} == {"nowhere"}
    assert names(api) == both("elsewhere")


def test_servers_that_do_not_say_where_their_run_is_are_left_alone_with_a_note(api, made_in):
    by_hand(api)
    made_in("from-outside", "")
    notes = []
    assert clean_orphans(connect("globe"), note=notes.append) == []
    assert names(api) == both("by-hand", "from-outside")
    assert len(notes) == 2
    assert all("from-outside" in note for note in notes)


def test_a_service_whose_deployment_is_gone_is_an_orphan_too(api, made_in):
    made_in("killed", "runs")
    api.objects["deployments"].clear()
    assert [one.kind for one in clean_orphans(connect("globe"))] == ["Service"]
    assert api.objects["services"] == {}


def test_without_the_right_to_see_runs_nothing_is_removed_and_the_error_says_what_grants_it(api, made_in):
    made_in("run-1", "runs")
    message = 'workflows.argoproj.io is forbidden: User "u" cannot list resource "workflows" in namespace "runs"'
    api.answers = [(200, {"items": list(found.values())}) for found in api.objects.values()] + [(403, message)]
    with pytest.raises(GlobeError, match=r"run run-1 is over: workflows.* cannot list .*; see manifests/cleanup"):
        clean_orphans(connect("globe"))
    assert names(api) == both("run-1")


def test_in_a_cluster_without_argo_no_run_counts_as_over(api, made_in):
    made_in("run-1", "runs")
    api.answers = [(200, {"items": list(found.values())}) for found in api.objects.values()]
    api.answers += [(404, "the server could not find the requested resource")]
    with pytest.raises(GlobeError, match="knows no workflows"):
        clean_orphans(connect("globe"))
    assert names(api) == both("run-1")


def test_the_jobs_account_may_do_what_the_clean_up_asks_for_and_nothing_else(api, made_in):
    made_in("deleted", "runs")
    labels = run_labels("deleted", "train-sft") | {HOME_LABEL: "runs"}
    api.objects["trainjobs"]["globe-sft"] = {"kind": "TrainJob", "metadata": {"name": "globe-sft", "labels": labels}}
    api.requests.clear()
    clean_orphans(connect("globe"))
    roles = [one for file in ROLES for one in yaml.safe_load_all(file.read_text()) if one["kind"] == "Role"]
    rules = [
        rule for role in roles if role["metadata"]["name"] in ("globe-cleanup", "globe-trainer-cleanup") for rule in role["rules"]
    ]
    granted = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    verbs = {"GET": "list", "DELETE": "delete"}
    assert not [name for method, _, name, *_ in api.requests if method == "GET" and name]  # else it would be "get"
    assert {(kind, verbs[method]) for method, kind, *_ in api.requests} == granted


# The commands


def test_the_command_says_what_it_removed_and_where_when_there_was_nothing(api, made_in):
    made_in("run-1", "runs")
    done = globe("clean", "--run", "run-1", "--namespace", "globe", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(" globe-grpo-")[0] for line in done.stdout.splitlines()] == [
        "would remove Deployment",
        "would remove Service",
    ]
    done = globe("clean", "--run", "run-1", "--namespace", "globe")
    assert all(line.startswith("removed ") and line.endswith(": grpo of run run-1") for line in done.stdout.splitlines())
    done = globe("clean", "--run", "run-1", "--namespace", "globe")
    assert (done.returncode, done.stdout) == (0, "nothing of run run-1 is in namespace globe\n")
    done = globe("clean", "--orphans")
    assert (done.returncode, done.stdout) == (0, "nothing of a run that is over is in namespace from-context\n")


def test_with_json_there_is_one_document_and_notes_stay_out_of_it(api, made_in):
    made_in("from-outside", "")
    made_in("deleted", "runs")
    done = globe("clean", "--orphans", "--json")
    told = json.loads(done.stdout)
    assert (told["namespace"], told["dry_run"]) == ("from-context", False)
    assert [(one["kind"], one["run"], one["model"]) for one in told["removed"]] == [
        ("Deployment", "deleted", "grpo"),
        ("Service", "deleted", "grpo"),
    ]
    assert done.stderr.count("left alone") == 2


@pytest.mark.parametrize("arguments", [(), ("--run", "r", "--orphans"), ("--run", "by-hand")])
def test_an_order_that_is_unclear_is_refused(api, arguments):
    refused(globe("clean", *arguments), "--run")
    assert api.requests == []


@pytest.mark.parametrize("order", [("--run", "run-1"), ("--orphans",)])
def test_a_namespace_that_is_not_there_is_not_called_clean(api, order):
    api.namespaces = {"kubeflwo": (404, 'namespaces "kubeflwo" not found')}
    refused(globe("clean", *order, "--namespace", "kubeflwo"), "--namespace kubeflwo: the cluster has no such namespace")


@pytest.mark.parametrize("namespace", ["a b", "../x", "kube-system/services?x=", "Upper", "n" * 64])
def test_what_cannot_name_a_namespace_is_refused_before_anything_is_asked(api, namespace):
    refused(globe("clean", "--run", "run-1", "--namespace", namespace), "no name of a namespace")
    assert api.requests == []


def test_an_account_that_may_not_look_at_namespaces_still_cleans(api):
    api.namespaces = {"globe": (403, 'User "x" cannot get resource "namespaces"')}
    done = globe("clean", "--run", "run-1", "--namespace", "globe")
    assert (done.returncode, done.stdout) == (0, "nothing of run run-1 is in namespace globe\n")


def test_the_pipelines_command_line_has_the_same_command(api, made_in):
    made_in("run-1", "runs")
    clean = [sys.executable, "-m", "pipelines", "clean", "--namespace", "globe", "--run"]
    done = subprocess.run([*clean, "run-1"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.count("removed")) == (0, 2), done.stderr
    assert not any(api.objects.values())
    done = subprocess.run([*clean, "by-hand"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a run's id" in done.stderr
