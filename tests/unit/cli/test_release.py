"""`globe deploy` and `globe publish` as they are typed."""

import json
from pathlib import Path

import pytest
import yaml
from model_folders import model, publish
from safetensors import serialize
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


def profile(tmp_path, **parameters):
    """Options that name a profile with these parameters."""
    content = {"title": "ours", "cluster": {"gpu_resource": "example.com/gpu"}, "parameters": parameters}
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(content))
    return "--cluster", str(tmp_path / "profile.yaml")


def pod(*arguments):
    done = run(*arguments, "--dry-run")
    assert done.exit_code == 0, done.output
    (found,) = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "Deployment"]
    return found["spec"]["template"]["spec"]


def test_nodes_taints_gpus_and_recipe_are_those_of_the_profiles_runs_unless_options_say_otherwise(tmp_path):
    deploy = [
        *DEPLOY[:-2],
        *profile(
            tmp_path,
            recipes={"serving": "demo", "sft": "demo"},
            overrides={"serving.max_num_seqs": 7, "sft.learning_rate": 1},
            serving_gpus=0,
            node_selectors={"serving": {"zone": "a"}, "sft": {"zone": "b"}},
            tolerations=[{"key": "team", "operator": "Exists"}],
        ),
    ]
    made = pod(*deploy)
    assert (made["nodeSelector"], made["tolerations"]) == ({"zone": "a"}, [{"key": "team", "operator": "Exists"}])
    engine = made["containers"][0]
    assert "example.com/gpu" not in engine["resources"]["limits"]
    assert option(engine, "--max-num-seqs") == "7"
    assert option(engine, "--dtype") == "float32"
    options = [
        "--node-selector",
        "zone=c",
        "--node-selector",
        "disk=",
        "--toleration",
        "team=geo:NoExecute",
        "--toleration",
        "spot",
    ]
    made = pod(*deploy, *options, "--gpus", "1", "--recipe", "gpu", "--set", "max_num_seqs=9")
    assert made["nodeSelector"] == {"zone": "c", "disk": ""}
    assert made["tolerations"] == [
        {"key": "team", "operator": "Equal", "value": "geo", "effect": "NoExecute"},
        {"key": "spot", "operator": "Exists"},
    ]
    engine = made["containers"][0]
    assert engine["resources"]["limits"]["example.com/gpu"] == "1"
    assert option(engine, "--max-num-seqs") == "9"
    assert option(engine, "--dtype") == "bfloat16"


def option(engine, name):
    return engine["args"][engine["args"].index(name) + 1]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"serving_gpus": -1}, "--cluster: parameters.serving_gpus: "),
        ({"serving_gpus": 2}, "serving_gpus: 2 GPUs are asked for, but the serving recipe uses 1"),
        ({"overrides": {"serving.max_num_seqs": 0}}, "--cluster: parameters.overrides.serving.max_num_seqs: "),
        ({"node_selectors": {"serving": {"zone": 1}}}, "node_selectors: serving: zone: 1: a label is a text"),
        ({"tolerations": [{"value": "geo"}]}, "tolerations[0]: "),
        (None, "give `cluster` and `parameters` as NAME: VALUE lines"),
    ],
)
def test_what_is_wrong_in_a_profile_is_named(tmp_path, parameters, said):
    options = profile(tmp_path, **parameters or {})
    if parameters is None:
        (tmp_path / "profile.yaml").write_text("{title: laptop, cluster: null}")
    assert said in failure(*DEPLOY, *options)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("deploy",), "give one of CHECKPOINT"),
        (("deploy", "--list", "--rollback", "where"), "give one of CHECKPOINT"),
        ((*DEPLOY[:2], *DEPLOY[4:]), "--name: missing"),
        ((*DEPLOY, "--name", "Where_1"), "--name: 'Where_1': up to 40 of a-z"),
        ((*DEPLOY, "--max-precision", "street"), "--max-precision 'street'"),
        ((*DEPLOY, "--gpus", "3"), "--gpus 3: the recipe splits the model over 1"),
        ((*DEPLOY, "--node-selector", "zone"), "--node-selector 'zone': write it as LABEL=VALUE"),
        (
            (*DEPLOY, "--node-selector", "zone=a", "--node-selector", "zone=b"),
            "--node-selector 'zone=b': no node has zone=a as well",
        ),
        ((*DEPLOY, "--toleration", "team:Sometimes"), "--toleration 'team:Sometimes': write it as KEY[=VALUE][:EFFECT]; effects"),
        ((*DEPLOY, "--toleration", ""), "--toleration '': write it as KEY"),  # an empty variable would tolerate every taint
        ((*DEPLOY, "--toleration", ":NoSchedule"), "--toleration ':NoSchedule': write it as KEY"),
        ((*DEPLOY, "--toleration", "team=a:"), "--toleration 'team=a:': write it as KEY"),
        ((*DEPLOY, "--toleration", "team a"), "tolerations[0]: "),
        ((*DEPLOY, "--set", "max_num_seqs=0"), "--set max_num_seqs: "),
        ((*DEPLOY, "--cluster", "/nowhere.yaml"), "--cluster /nowhere.yaml: cannot be read"),
        (("publish", "m", "--oci", "models/globe"), "give REGISTRY/NAME:TAG"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments, said):
    assert said in failure(*arguments)


def test_a_model_without_a_manifest_whose_weights_are_cut_short_is_not_published(tmp_path):
    folder = model(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(serialize({})[:-1])
    assert "model.safetensors: is no whole file of weights" in failure("publish", str(folder), "--oci", f"oci:{tmp_path}/layout")
    assert not (tmp_path / "layout").exists()
    (folder / "model.safetensors").write_bytes(serialize({}))
    assert run("publish", str(folder), "--oci", f"oci:{tmp_path}/layout").exit_code == 0


def test_a_layout_is_written_and_its_digest_printed(tmp_path):
    publish(model(tmp_path / "m"))
    done = run("publish", str(tmp_path / "m"), "--oci", f"oci:{tmp_path}/layout", "--json")
    told = json.loads(done.stdout)
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    assert index["manifests"][0]["digest"] == told["digest"]
    assert told["image"] == f"oci:{tmp_path}/layout@{told['digest']}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster: {}\nparamters: {serving_gpus: 1}", "paramters: a profile has title, parameters, cluster, containers"),
        ("cluster: {}\nparameters: {servng_gpus: 1}", "parameters.servng_gpus: did you mean serving_gpus?"),
        ("cluster: {}\nparameters: {node_selector: {serving: {a: b}}}", "parameters.node_selector: did you mean node_selectors?"),
        ("cluster: {}\nparameters: {node_selectors: {servng: {a: b}}}", "parameters.node_selectors: servng: no such stage"),
        ("cluster: {}\nparameters: {node_selectors: {serving: }}", "node_selectors: serving: None: give labels"),
        (
            "cluster: {}\nparameters: {overrides: {serving: {max_num_seqs: 3}}}",
            "parameters.overrides: serving: write it as STAGE",
        ),
        ("cluster: {}\nparameters: {recipes: }", "parameters.recipes: Input should be"),
        ("cluster: {}\nparameters: {serving_gpus: 4}", "serving_gpus: 4 GPUs are asked for, but the serving recipe uses 1"),
        ("cluster: {}\nparameters:", "give `cluster` and `parameters` as NAME: VALUE lines"),
        ("cluster:\nparameters: {}", "give `cluster` and `parameters` as NAME: VALUE lines"),
        ("cluster: {claim: a}\ncluster: {claim: b}", "not YAML ('cluster' is given twice"),
        ("title: ours\nparameters: {}", "a profile without `cluster`, for runs on this machine"),
        ("cluster: {calim: a}", "calim: Extra inputs are not permitted; did you mean claim"),
    ],
)
def test_a_profile_from_which_a_value_would_be_lost_is_refused(tmp_path, text, said):
    (tmp_path / "profile.yaml").write_text(text)
    told = failure(*DEPLOY[:-2], "--cluster", str(tmp_path / "profile.yaml"), "--dry-run")
    assert said in told
    assert told.count("\n") == 0


def test_each_profile_of_a_cluster_that_the_project_has_can_be_deployed_by(tmp_path):
    found = [
        path
        for path in sorted((Path(__file__).parents[3] / "pipelines/profiles").glob("*.yaml"))
        if "cluster" in yaml.safe_load(path.read_text())
    ]
    assert found
    for path in found:
        options = yaml.safe_load(path.read_text()).get("parameters", {})
        made = pod(*DEPLOY[:-2], "--cluster", str(path), *(() if "serving" in options.get("recipes", {}) else DEPLOY[-2:]))
        assert made.get("nodeSelector", {}) == options.get("node_selectors", {}).get("serving", {})
