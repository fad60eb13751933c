"""The compiled pipelines: what a backend reads, and what the person at the KFP UI sees."""

import json
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from components.images import PINS
from globe.errors import InputError
from globe.recipes.load import load_recipe
from globe.run.cluster import Cluster
from globe.run.stages import RECIPES, STAGES
from pipelines import DEFAULT_PROFILE
from pipelines.backends import BACKENDS, Backend
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED, cluster_of, compile_all, compiled_text, require_digests
from pipelines.local.run import stages_from
from pipelines.placement import size_of

MAX_ARGUMENT_BYTES = 128 * 1024
MAX_PARAMETERS = 15
DEFAULT_GPUS = {"sft": 8, "reward-model": 8, "grpo": 8, "baselines": 1}
RESUMABLE = {
    "source",
    "base-model",
    "model",
    "cut",
    "annotate",
    "curation",
    "sft",
    "reward-model",
    "grpo",
    "baselines",
    "evaluation",
}
RESUMABLE |= {"teardown", "stop-reward-service"}  # what they ended stays ended
names = pytest.mark.parametrize("name", PIPELINES)


@pytest.fixture(scope="module")
def texts() -> dict[tuple[str, str], str]:
    """Each pipeline for each backend, by the version and the pipeline's name, for a cluster with a queue."""
    cluster = cluster_of(DEFAULT_PROFILE).model_copy(update={"queue": "globe"})
    return {
        (version, name): compiled_text(pipeline, cluster, backend)
        for version, backend in BACKENDS.items()
        for name, pipeline in PIPELINES.items()
    }


@pytest.fixture(scope="module", params=list(BACKENDS))
def backend(request) -> Backend:
    """Each backend in turn."""
    return BACKENDS[request.param]


@pytest.fixture(scope="module")
def compiled(texts, backend) -> dict[str, list[dict]]:
    """The documents of each pipeline for one backend."""
    return {name: list(yaml.safe_load_all(texts[backend.version, name])) for name in PIPELINES}


def tasks(spec):
    """Every container task of a pipeline by name, with its definition."""
    for component in [spec["root"], *spec["components"].values()]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            if "executorLabel" in spec["components"][task["componentRef"]["name"]]:
                yield name, task


def containers(spec):
    return {name.removeprefix("exec-"): executor["container"] for name, executor in spec["deploymentSpec"]["executors"].items()}


def pods(platform):
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor for name, executor in executors.items()}


def parameters(spec):
    return spec["root"]["inputDefinitions"]["parameters"]


def default_gpus(pipeline, spec, container) -> int:
    """How many GPUs a container asks for by default: what the first task answers for the output that its request names."""
    count = container["resources"]["accelerator"]["resourceCount"]
    output = re.fullmatch(r"\{\{\$\.inputs\.parameters\['pipelinechannel--validate-(\w+)'\]\}\}", count)[1]
    assert spec["components"]["comp-validate"]["outputDefinitions"]["parameters"][output]["parameterType"] == "STRING"
    return int(getattr(pipeline.parameters(), output))


@names
def test_a_committed_file_is_what_the_code_compiles_to(backend, name):
    text = compiled_text(PIPELINES[name], cluster_of(DEFAULT_PROFILE), backend)
    assert (COMPILED / backend.folder / f"{name}.yaml").read_text() == text


def test_drift_is_found_and_nothing_is_written(tmp_path):
    console = Console(quiet=True)
    assert compile_all(DEFAULT_PROFILE, tmp_path, check=False, release=False, console=console)
    assert compile_all(DEFAULT_PROFILE, tmp_path, check=True, release=False, console=console)
    changed = tmp_path / BACKENDS["2.15"].folder / "training.yaml"
    changed.write_text(changed.read_text().replace("globe-training", "globe-trainin"))
    before = changed.read_text()
    assert not compile_all(DEFAULT_PROFILE, tmp_path, check=True, release=False, console=console)
    assert changed.read_text() == before


def profile_file(folder, **content):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"title": "mine", "cluster": {"mount_path": "/data"}} | content))
    return str(path)


def test_what_a_profile_says_of_parameters_is_their_default_in_its_packages(tmp_path):
    own = {"store": "/data/store", "model": "/data/m", "serving_gpus": 2, "overrides": {"serving.tensor_parallel_size": 2}}
    profile = profile_file(tmp_path, parameters=own | {"node_selectors": {}, "tolerations": [], "sft_gpus": 8})
    backends = [BACKENDS["2.16"]]
    compile_all(profile, tmp_path, backends=backends, check=False, release=False, console=Console(quiet=True))
    spec = next(yaml.safe_load_all((tmp_path / "kfp-2.16" / "evaluation.yaml").read_text()))
    found = {name: about.get("defaultValue") for name, about in spec["root"]["inputDefinitions"]["parameters"].items()}
    assert {name: found[name] for name in own} == own
    assert (found["node_selectors"], found["tolerations"]) == ({}, [])
    others = found.keys() - own.keys() - {"node_selectors", "tolerations"}
    defaults = PIPELINES["evaluation"].parameters().model_dump()
    assert {name: found[name] for name in others} == {name: defaults[name] for name in others}


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "store: '/mnt/globe/store': it would be lost with the pod"),  # the claim is at /data there
        ({"store": "/data/store", "overrides": {"sft.no_such": 1}}, r"mine\.yaml: parameters\.overrides\.sft\.no_such"),
        ({"store": "/data/store", "sft_gpus": 3}, "3 GPUs: a batch of 64"),
    ],
)
def test_a_profile_that_cannot_work_gets_no_packages(tmp_path, parameters, says):
    profile = profile_file(tmp_path, parameters=parameters)
    with pytest.raises(InputError, match=says):
        compile_all(profile, tmp_path / "out", check=False, release=False, console=Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_a_release_refuses_an_image_without_a_digest(tmp_path):
    pins = tmp_path / "pins.yaml"
    pins.write_text("train: r.example/globe-train:1.0\n")
    with pytest.raises(InputError, match="train"):
        require_digests(pins)
    pins.write_text(f"train: r.example/globe-train@sha256:{'0' * 64}\n")
    require_digests(pins)


@names
def test_the_form_in_the_ui_has_few_parameters_each_with_a_description_and_a_default(compiled, name):
    given = parameters(compiled[name][0])
    assert len(given) <= MAX_PARAMETERS
    for parameter, definition in given.items():
        assert len(definition.get("description", "")) > 20, parameter
        assert "defaultValue" in definition, parameter


@names
def test_default_recipes_exist_and_defaults_pass_the_same_checks_as_a_users_input(name):
    defaults = PIPELINES[name].parameters().model_dump()
    for stage, recipe in defaults["recipes"].items():
        load_recipe(RECIPES[stage], stage, recipe)
    assert set(PIPELINES[name].recipes) <= set(defaults["recipes"])


@names
def test_defaults_lie_on_the_volume_that_the_profile_mounts(name):
    mount_path = cluster_of(DEFAULT_PROFILE).mount_path
    defaults = PIPELINES[name].parameters().model_dump()
    places = [defaults[key] for key in ("source", "dataset", "base_model", "model", "store") if key in defaults]
    assert all(place.startswith(f"{mount_path}/") for place in places)


@names
def test_every_stage_that_the_user_sees_is_a_task(compiled, backend, name):
    seen = {task.replace("-", "_") for task, _ in tasks(compiled[name][0])}
    left_out = set() if backend.collects else {"annotate"}
    assert set(PIPELINES[name].followers) - seen == (left_out if name == "curation" else set())


@names
def test_every_condition_is_one_that_the_local_runner_can_see_through(compiled, name):
    """It looks a condition's values up among the inputs of the group it stands in, and takes one that it does not find for no."""
    spec = compiled[name][0]
    for component in [spec["root"], *spec["components"].values()]:
        for task, definition in component.get("dag", {}).get("tasks", {}).items():
            condition = definition.get("triggerPolicy", {}).get("condition", "")
            for parameter in re.findall(r"parameter_values\['([^']+)'\]", condition):
                assert "componentInputParameter" in definition["inputs"]["parameters"][parameter], (task, condition)


@names
def test_no_task_may_be_answered_from_the_backends_cache(compiled, name):
    for task, definition in tasks(compiled[name][0]):
        assert not definition.get("cachingOptions", {}).get("enableCache"), task


@names
def test_only_stages_that_go_on_where_they_were_killed_are_retried(compiled, backend, name):
    spec = compiled[name][0]
    for task, definition in tasks(spec):
        retried = "retryPolicy" in definition and definition["retryPolicy"]["maxRetryCount"] > 0
        seen = backend.retries_in_groups or task in spec["root"]["dag"]["tasks"]
        assert retried == (seen and definition["componentRef"]["name"].removeprefix("comp-") in RESUMABLE), task


@names
def test_no_task_installs_anything_when_it_starts_and_its_source_fits_into_one_argument(compiled, name):
    for task, container in containers(compiled[name][0]).items():
        assert "pip install" not in " ".join(container["command"] + container.get("args", [])), task
        assert max(len(text.encode()) for text in container["command"]) < MAX_ARGUMENT_BYTES


@names
def test_images_are_those_of_the_pins_and_latest_never_occurs(compiled, name):
    pins = set(yaml.safe_load(PINS.read_text()).values())
    images = {container["image"] for container in containers(compiled[name][0]).values()}
    assert images <= pins
    assert not any(re.search(r":latest$|^[^:@]+$", image) for image in images | pins)
    assert ":latest" not in json.dumps(compiled[name])


def test_training_asks_for_eight_gpus_of_the_right_kind_each(compiled):
    spec = compiled["training"][0]
    pipeline = PIPELINES["training"]
    asking = {name: default_gpus(pipeline, spec, c) for name, c in containers(spec).items() if "accelerator" in c["resources"]}
    assert asking == DEFAULT_GPUS
    assert {
        c["resources"]["accelerator"]["resourceType"] for c in containers(spec).values() if "accelerator" in c["resources"]
    } == {"nvidia.com/gpu"}
    selectors = parameters(spec)["node_selectors"]["defaultValue"]
    assert selectors["sft"] == selectors["reward_model"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}
    assert selectors["grpo"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    assert parameters(spec)["serving_gpus"]["defaultValue"] == 1


@pytest.mark.parametrize("name", ["evaluation", "curation"])
def test_evaluation_and_curation_tasks_ask_for_no_gpu_themselves(compiled, name):
    assert not any("accelerator" in container["resources"] for container in containers(compiled[name][0]).values())


def test_a_task_with_gpus_has_shared_memory_node_labels_tolerations_and_a_queue(compiled, backend):
    spec, platform = compiled["training"]
    for name in DEFAULT_GPUS:
        pod = pods(platform)[name]
        (shm,) = [directory for directory in pod["emptyDirMounts"] if directory["volumeName"] == "shm"]
        assert (shm["mountPath"], shm["medium"]) == ("/dev/shm", "Memory")
        assert shm["sizeLimit"] == STAGES[name.replace("-", "_")].size.shm
        assert pod["nodeSelector"]["nodeSelectorJson"]
        assert pod["tolerations"] == [
            {"tolerationJson": {"componentInputParameter": pod["tolerations"][0]["tolerationJson"]["componentInputParameter"]}}
        ]
        assert pod["podMetadata"]["labels"].get("kueue.x-k8s.io/queue-name") == ("globe" if backend.pod_labels else None)
        limit = containers(spec)[name]["resources"]["resourceMemoryLimit"]
        assert gibibytes(limit) > gibibytes(shm["sizeLimit"])


def gibibytes(quantity: str) -> int:
    return int(re.fullmatch(r"(\d+)Gi", quantity)[1])


@names
def test_every_pod_is_an_ordinary_user_with_the_shared_volume_and_limits(compiled, backend, name):
    spec, platform = compiled[name]
    assert set(pods(platform)) == set(containers(spec))
    for task, pod in pods(platform).items():
        user = {"runAsUser": "1001", "runAsGroup": "0", "runAsNonRoot": True} if backend.pod_security else None
        assert pod.get("securityContext") == user, task
        claims = [(claim["mountPath"], claim["constant"]) for claim in pod.get("pvcMount", [])]
        assert claims == [("/mnt/globe", "globe-store")], task
        resources = containers(spec)[task]["resources"]
        assert {"resourceCpuRequest", "resourceMemoryRequest", "resourceMemoryLimit"} <= set(resources), task


@names
def test_secrets_come_by_name_and_never_with_a_value(compiled, backend, name, monkeypatch):
    for key in ("AWS_SECRET_ACCESS_KEY", "GLOBE_TEACHER_API_KEY", "KFP_TOKEN"):
        monkeypatch.setenv(key, "planted-secret-value")
    text = compiled_text(PIPELINES[name], cluster_of(DEFAULT_PROFILE), backend)
    assert "planted-secret-value" not in text
    for task, pod in pods(compiled[name][1]).items():
        here, not_here = ("secretAsEnv", "secretAsVolume") if backend.optional_secrets else ("secretAsVolume", "secretAsEnv")
        assert not_here not in pod, task
        secrets = pod.get(here, [])
        assert secrets, task
        # One without a name gets it from the first task: backend/test_secrets.py has who gets which.
        assert {secret.get("secretName", "") for secret in secrets} <= {"globe-s3", "globe-teachers", "globe-webhook", ""}
        assert all(secret["optional"] for secret in secrets), task
    for task, container in containers(compiled[name][0]).items():
        trains = task in ("sft", "reward-model", "grpo")
        port = [{"name": "GLOBE_METRICS_PORT", "value": "9464"}, {"name": "GLOBE_METRICS_HOST", "value": "0.0.0.0"}]
        metrics = port if trains else []
        folders = [{"name": "GLOBE_SCRATCH", "value": "/scratch"}, {"name": "GLOBE_CACHE_DIR", "value": "/mnt/globe/cache"}]
        assert container["env"] == [*folders, *metrics]


@names
def test_everything_is_checked_before_anything_else_starts(compiled, name):
    spec = compiled[name][0]
    for component in [spec["root"], *spec["components"].values()]:
        graph = component.get("dag", {}).get("tasks", {})
        if "validate" in graph:
            first = [task for task, definition in graph.items() if not definition.get("dependentTasks")]
            assert set(first) == {"validate"}
            return
    pytest.fail("no task checks the input")


@pytest.mark.parametrize("name", ["training", "evaluation"])
def test_the_teardown_runs_whatever_happened(compiled, name):
    task = compiled[name][0]["root"]["dag"]["tasks"]["teardown"]
    assert task["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


@names
def test_a_run_ends_some_day_and_its_pods_go_where_a_backend_can_be_told_so(compiled, backend, name):
    cluster = cluster_of(DEFAULT_PROFILE)
    told = compiled[name][1]["platforms"]["kubernetes"].get("pipelineConfig")
    ttl = {f"resourceTtlOn{when}": cluster.ttl_s for when in ("Completion", "Success", "Failure")}
    assert told == ({**ttl, "activeDeadlineSeconds": cluster.deadline_s} if backend.run_limits else None)


@names
def test_a_retry_may_come_as_late_as_the_run_may_take(compiled, name):
    """Argo counts a retry's longest time from the start of the first attempt."""
    for task, definition in tasks(compiled[name][0]):
        if "retryPolicy" in definition:
            assert definition["retryPolicy"]["backoffMaxDuration"] == f"{cluster_of(DEFAULT_PROFILE).deadline_s}s", task


@names
def test_tasks_have_names_for_people_where_the_backend_shows_them(compiled, backend, name):
    shown = {task: definition["taskInfo"]["name"] for task, definition in tasks(compiled[name][0])}
    if not backend.display_names:
        assert all(task == text for task, text in shown.items())
        return
    assert shown["validate"] == "Check inputs"
    assert all(" " in text or text[0].isupper() for task, text in shown.items() if task in {"sft", "grpo", "curation", "gate"})


@pytest.mark.parametrize("name", ["training", "evaluation"])
def test_who_names_models_has_the_titles_from_the_runs_first_task(compiled, name):
    found = {task: definition["inputs"]["parameters"].get("titles", {}) for task, definition in tasks(compiled[name][0])}
    for task in ("evaluation", "gate"):
        (source,) = found[task].values()
        text = json.dumps(source)
        assert "validate" in text
        assert "titles" in text


def test_the_run_page_shows_metrics_summaries_and_a_report(compiled):
    spec = compiled["training"][0]

    def kinds(component):
        outputs = spec["components"][f"comp-{component}"]["outputDefinitions"]["artifacts"]
        return {artifact["artifactType"]["schemaTitle"] for artifact in outputs.values()}

    assert {"system.Metrics", "system.Markdown", "system.HTML"} <= kinds("evaluation")
    assert "system.Markdown" in kinds("validate")
    assert "system.Markdown" in kinds("gate")
    assert "system.Metrics" in kinds("grpo")


def test_a_profile_for_s3_alone_mounts_no_volume():
    text = compiled_text(PIPELINES["evaluation"], Cluster(claim=None))
    assert "pvcMount" not in text


def test_pods_keep_indexes_for_each_other_on_the_claim_where_there_is_one_and_nothing_must_be_signed():
    for cluster, folder in (
        (Cluster(mount_path="/data"), "/data/cache"),
        (Cluster(claim=None), None),
        (Cluster(signing_secret="ours"), None),
    ):
        spec, _ = yaml.safe_load_all(compiled_text(PIPELINES["curation"], cluster))
        told = [{one["name"]: one["value"] for one in container["env"]} for container in containers(spec).values()]
        assert {env.get("GLOBE_CACHE_DIR") for env in told} == {folder}


def test_a_profile_changes_the_fields_of_a_size_that_it_names_and_no_others():
    size = size_of(Cluster(sizes={"grpo": {"memory": "900Gi"}}), STAGES["grpo"])
    assert size == STAGES["grpo"].size.model_copy(update={"memory": "900Gi"})
    assert size_of(Cluster(), STAGES["grpo"]) == STAGES["grpo"].size


def test_repeating_a_stage_repeats_what_needs_it_and_nothing_else():
    followers = PIPELINES["training"].followers
    assert stages_from("grpo", followers) == ["grpo", "serving", "evaluation", "gate", "promote", "teardown"]
    assert "reward_model" not in stages_from("sft", followers)
    assert "baselines" in stages_from("sft", followers)
    assert set(stages_from("validate", followers)) == set(followers)


def test_compiled_files_are_all_there_and_no_others():
    found = {str(path.relative_to(COMPILED)) for path in Path(COMPILED).rglob("*") if path.is_file()}
    assert found == {f"{backend.folder}/{name}.yaml" for backend in BACKENDS.values() for name in PIPELINES}
