"""A promoted model's pods stand where the run's own server stood, and serve as it did: from the pipeline's inputs to the pods."""

from types import SimpleNamespace

import pytest
import yaml
from cluster_servers import CLAIM, placing
from kube_double import api, claim
from model_folders import model, publish

from components.promote import accept, promote
from components.serving import serving
from globe.data.shards import write_dataset
from globe.evaluation.promote import read_promoted
from globe.models.checkpoints import Usage
from globe.recipes.load import load_recipe
from globe.run import artifacts
from globe.run.stage import Outcome, run_stage
from globe.serving.recipe import ServingRecipe
from pipelines.backends import BACKENDS
from pipelines.compile import COMPILED

__all__ = ["api", "claim"]

INPUTS = ("recipes", "overrides", "store", "gpus", "nodes", "tolerations", "cluster", "run")
"""What says of a server how and where it is served."""
OF_THE_RUN = {
    "recipes": {"serving": "gpu", "evaluation": "benchmark"},
    "overrides": {"serving.tensor_parallel_size": 2, "serving.max_num_seqs": 7, "serving.startup_timeout_s": 30},
    "gpus": "2",
    "nodes": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
    "tolerations": [{"key": "team", "operator": "Equal", "value": "geo", "effect": "NoExecute"}],
    "run": "run-1",
    "cluster": {
        "mount_path": str(CLAIM),
        "server_image": "registry.example/globe-serve:0.1.0",
        "server_image_pull_policy": "Always",
        "server_cpu": "3",
        "server_memory": "9Gi",
        "server_shm": "5Gi",
        "image_pull_secrets": ["pull"],
        "gpu_resource": "example.com/gpu",
        "queue": "gpus",
        "release": {"name": "where"},
    },
}
OF_NO_GPU = OF_THE_RUN | {"overrides": {"serving.startup_timeout_s": 30}, "gpus": "0", "nodes": {}, "tolerations": []}
VERDICT = {"verdict": "promote", "reasons": "better", "promotes": True}


@pytest.fixture
def artifact(claim, tmp_path):
    """Artifacts of a run by name: a policy that an earlier run has trained, pictures, and the evaluation that it earned."""
    served = load_recipe(ServingRecipe, "serving", "gpu", {"max_num_seqs": 99}).model_dump(mode="json")
    policy = publish(model(claim / "grpo" / "made" / "checkpoint"), usage=Usage(serving=served))

    def stage(name, work, inputs):
        return run_stage(name, store=claim, inputs=inputs, settings={}, code=(), work=work)

    def pictures(folder, reporter):
        write_dataset(folder / "data", [])
        return Outcome("done", {"data": str(folder / "data")})

    paths = {name: str(tmp_path / name) for name in ("policy", "test", "evaluated")}
    artifacts.copy_manifest(policy.manifest, paths["policy"])
    artifacts.write_reference(paths["test"], stage("source", pictures, {}))
    figures = Outcome("done", {}, {"policy": {"n": 3}})
    artifacts.write_reference(paths["evaluated"], stage("evaluation", lambda *_: figures, {"policy": policy.digest}))
    return {name: SimpleNamespace(path=path) for name, path in paths.items()}


@pytest.mark.parametrize("inputs", [OF_THE_RUN, OF_NO_GPU], ids=["two GPUs of a kind", "no GPU"])
@pytest.mark.parametrize(("promotes", "more"), [(promote, {}), (accept, VERDICT)], ids=["training", "evaluation"])
def test_the_same_inputs_place_the_runs_own_server_and_the_promoted_models_pods(api, claim, artifact, inputs, promotes, more):
    policy, evaluated = artifact["policy"], artifact["evaluated"]
    serving.__wrapped__(policy=policy, test=artifact["test"], store=str(claim), **inputs)
    (own,) = api.objects["deployments"].values()
    promotes.__wrapped__(policy=policy, evaluated=evaluated, instead_of="", store=str(claim), **inputs, **more)
    (released,) = api.objects["deployments"].values()
    assert released["metadata"]["labels"]["globe.dev/released"] == "where"
    assert placing(released) == placing(own)
    assert placing(own)["resources"]["limits"].get("example.com/gpu") == ("2" if inputs is OF_THE_RUN else None)


@pytest.mark.parametrize(("promotes", "more"), [(promote, {}), (accept, VERDICT)], ids=["training", "evaluation"])
def test_without_a_cluster_the_policy_is_promoted_and_nothing_is_moved(api, claim, artifact, promotes, more):
    given = {name: artifact[name] for name in ("policy", "evaluated")}
    promotes.__wrapped__(**given, instead_of="", store=str(claim), **OF_NO_GPU | {"cluster": {}}, **more)
    assert read_promoted(claim).digest == artifacts.checkpoint(artifact["policy"].path).digest
    assert api.requests == []


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
@pytest.mark.parametrize(("pipeline", "task"), [("training", "promote"), ("evaluation", "accept")])
def test_what_promotes_is_given_all_that_says_how_and_where_the_run_serves_its_policy(backend, pipeline, task):
    spec = next(yaml.safe_load_all((COMPILED / backend.folder / f"{pipeline}.yaml").read_text()))
    tasks = {
        name: definition["inputs"]["parameters"]
        for component in spec["components"].values()
        for name, definition in component.get("dag", {}).get("tasks", {}).items()
    }
    assert {name: source(tasks[task][name]) for name in INPUTS} == {name: source(tasks["serving"][name]) for name in INPUTS}


def source(given):
    """Where an input of a task comes from, whether it stands in the run's graph or in a branch of it."""
    if output := given.get("taskOutputParameter"):
        return f"{output['producerTask']}-{output['outputParameterKey']}"
    return given.get("componentInputParameter", "").removeprefix("pipelinechannel--") or given["runtimeValue"]
