"""`globe deploy` and `globe publish` as they are typed."""

import json

import pytest
import yaml
from model_folders import model, publish
from typer.testing import CliRunner

from globe.cli.app import app
from globe.errors import InputError

DEPLOY = ["deploy", "/mnt/globe/store/m", "--name", "where", "--image", "registry.example/globe-serve:1", "--recipe", "gpu"]


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def failure(*arguments):
    error = run(*arguments).exception
    assert isinstance(error, InputError), error
    return str(error)


def test_a_dry_run_prints_what_would_be_applied_and_asks_no_cluster(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    done = run(*DEPLOY, "--replicas", "2", "--dry-run")
    assert done.exit_code == 0, done.output
    objects = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    (name,) = [name for kind, name in objects if kind == "Deployment"]
    deployment = objects["Deployment", name]
    assert deployment["spec"]["replicas"] == 2
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for service in ("where", "where-peers"):
        assert objects["Service", service]["spec"]["selector"].items() <= labels.items()
    assert ("ServiceAccount", "where") in objects


def test_the_same_command_prints_the_same_and_a_cluster_file_is_read(tmp_path):
    (tmp_path / "cluster.yaml").write_text("cluster: {server_image: 'registry.example/x:1', server_memory: 9Gi}\n")
    command = [
        "deploy",
        "/mnt/globe/m",
        "--name",
        "where",
        "--cluster",
        str(tmp_path / "cluster.yaml"),
        "--recipe",
        "gpu",
        "--dry-run",
    ]
    first = run(*command).stdout
    assert first == run(*command).stdout
    assert "registry.example/x:1" in first
    assert "9Gi" in first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("deploy",), "give one of CHECKPOINT"),
        (("deploy", "--list", "--rollback", "where"), "give one of CHECKPOINT"),
        ((*DEPLOY[:2], *DEPLOY[4:]), "--name ''"),
        ((*DEPLOY, "--name", "Where_1"), "--name 'Where_1': up to 40 of a-z"),
        ((*DEPLOY, "--max-precision", "street"), "--max-precision 'street'"),
        ((*DEPLOY, "--gpus", "3"), "--gpus 3: the recipe splits the model over 1"),
        ((*DEPLOY, "--cluster", "/nowhere.yaml"), "--cluster /nowhere.yaml: cannot be read"),
        (("publish", "m", "--oci", "models/globe"), "give REGISTRY/NAME:TAG"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments, said):
    assert said in failure(*arguments)


def test_a_layout_is_written_and_its_digest_printed(tmp_path):
    publish(model(tmp_path / "m"))
    done = run("publish", str(tmp_path / "m"), "--oci", f"oci:{tmp_path}/layout", "--json")
    told = json.loads(done.stdout)
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    assert index["manifests"][0]["digest"] == told["digest"]
    assert told["image"] == f"oci:{tmp_path}/layout@{told['digest']}"
