"""What our code reads of its environment, it has wherever it runs: in a container here, in a pod, where weights are fetched."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from components.images import image
from globe import storage
from globe.curation.recipe import API_KEY_VARIABLE
from globe.keys import SERVER_KEY, TEACHER_KEY
from globe.run.cluster import SERVER_KEY_VARIABLE, WEBHOOK_VARIABLES, Cluster, read_cluster
from globe.run.stages import STAGES
from pipelines import DEFAULT_PROFILE
from pipelines.backends import BACKENDS
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED, cluster_of, compiled_text
from pipelines.local.containers import ONLY_FOR, PASSED_ON, passed_on

ROOT = Path(__file__).parents[2]
GLOBE = ROOT / "components" / "globe"
NOT_PASSED_ON = {
    "GLOBE_GAZETTEER": "the image's own file",
    "GLOBE_CACHE_DIR": "where the gazetteer is built without one; archives' indexes, which a pod finds on the claim",
    "GLOBE_IMAGE": "the image's own name",
    "GLOBE_REVISION": "the image's own, set when it is built",
    "GLOBE_NOMINATIM_URL": "`globe geocode --online`, no stage",
    "GLOBE_GEOCODER_RPS": "`globe geocode --online`, no stage",
    "GLOBE_DATASET": "globe's tasks for lmms-eval, no stage",
    "GLOBE_IMAGES": "globe's tasks for lmms-eval, no stage",
    "GLOBE_PROMPT": "globe's tasks for lmms-eval, no stage",
    **dict.fromkeys(("GLOBE_METRICS_PORT", "GLOBE_METRICS_HOST"), "a cluster's pods: nobody scrapes a laptop"),
    **dict.fromkeys(("GLOBE_EVAL_ROWS", "GLOBE_EVAL_STEPS", "GLOBE_EVAL_REWARD"), "set by GRPO for its process"),
    "GLOBE_TRAINING": "set by a stage for its trainer",
    "GLOBE_REWARD_URL": "set by GRPO for its process",
    "GLOBE_REWARD_MODEL": "set by GRPO for its process",
    "GLOBE_REWARD_TIMEOUT_S": "set by GRPO for its process",
    "GLOBE_REWARD_PATIENCE_S": "set by GRPO for its process",
    "GLOBE_REWARD_KEY": "set by GRPO for its process",
    "GLOBE_REWARD_DIGEST": "set by GRPO for its process",
    "GLOBE_SERVER_KEY": "a server's by hand, no stage",
    **dict.fromkeys(
        (f"GLOBE_GATEWAY_{name}" for name in ("HOST", "PORT", "KEYS_FILE", "MAX_PRECISION")), "`globe serve`, no stage"
    ),
    "GLOBE_SERVER_KEY_FILE": "set for each server",
    "GLOBE_SERVER_MAY_BE_OPEN": "set for a server by hand",
    "GLOBE_MODEL_DIGEST": "set for each server",
    "GLOBE_GATEWAY_": "a gateway's settings, no stage",
    "GLOBE_URLS_FROM_FORM": "set by the supervisor of each of a run's tasks on a cluster",
    "GLOBE_MACHINE_GPUS": "stages of one machine that are processes",
    "GLOBE_SERVERS_ARE_REQUESTED": "set for each container",
}


def named(folder: Path, pattern: str) -> set[str]:
    """Environment variables that the code below a folder names, quoted."""
    text = "".join(path.read_text() for path in folder.rglob("*.py"))
    return set(re.findall(rf'"({pattern})"', text))


def test_storage_reads_no_variable_that_it_does_not_list():
    assert named(GLOBE / "storage", "(?:AWS|GLOBE)_[A-Z0-9_]+") == set(storage.VARIABLES)


def test_a_container_has_every_variable_that_a_stage_reads():
    read = named(GLOBE, "GLOBE_[A-Z0-9_]+")
    assert read - set(PASSED_ON) - set(ONLY_FOR) == set(NOT_PASSED_ON)
    assert set(storage.VARIABLES) <= set(PASSED_ON)
    values = {name: f"value of {name}" for name in PASSED_ON}
    assert passed_on(values | {"PATH": "/bin", "GLOBE_GAZETTEER": "/here"}, "sft") == values


def test_a_container_has_only_the_keys_that_its_stage_needs():
    values = {name: f"value of {name}" for name in (*PASSED_ON, *ONLY_FOR)}
    teachers, hosted = (
        {name for name in STAGES if key in passed_on(values, name)} for key in (API_KEY_VARIABLE, SERVER_KEY_VARIABLE)
    )
    assert teachers == {"validate", "annotate", "curation"}
    assert hosted == {"validate", "evaluation"}
    hosts = {TEACHER_KEY.hosts_variable, SERVER_KEY.hosts_variable}
    assert set(ONLY_FOR) == {API_KEY_VARIABLE, SERVER_KEY_VARIABLE, *hosts, *WEBHOOK_VARIABLES}
    elsewhere = passed_on(values, "source", uses_s3=False)
    assert values.keys() - elsewhere.keys() == {*storage.S3_VARIABLES, *ONLY_FOR}


def test_the_webhooks_address_goes_to_the_last_task_alone_here_and_on_a_cluster():
    webhook = {name: f"value of {name}" for name in WEBHOOK_VARIABLES}
    assert passed_on(webhook, "teardown") == webhook
    assert all(passed_on(webhook, stage) == {} for stage in STAGES if stage != "teardown")
    for backend in BACKENDS.values():
        spec, platform = yaml.safe_load_all((COMPILED / backend.folder / "training.yaml").read_text())
        for task, pod in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
            told = str((pod, spec["deploymentSpec"]["executors"][task]["container"]["command"]))
            assert [name in told for name in webhook] == 3 * [task == "exec-teardown"], (backend.version, task)


def test_an_s3_client_in_a_container_asks_the_endpoint_and_region_that_the_user_has_set():
    code = "from globe.storage.s3 import client; c = client().s3.meta; print(c.endpoint_url, c.region_name)"
    given = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "eu-north-1"}
    container = {"PATH": os.environ["PATH"], "PYTHONPATH": str(GLOBE.parent), "HOME": "/nowhere"}
    env = container | passed_on({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"} | given, "source")
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["http://127.0.0.1:9", "eu-north-1"], done.stderr


def test_a_pod_has_every_variable_that_says_how_what_it_asks_is_reached():
    teachers = {API_KEY_VARIABLE, TEACHER_KEY.hosts_variable}
    hosted = {SERVER_KEY_VARIABLE, SERVER_KEY.hosts_variable}
    asks = {
        "validate": teachers | hosted,
        "annotate": teachers,
        "curation": teachers,
        "evaluation": hosted,
        "teardown": set(WEBHOOK_VARIABLES),
    }
    for name, pipeline in PIPELINES.items():
        _, platform = yaml.safe_load_all(compiled_text(pipeline, cluster_of(DEFAULT_PROFILE)))
        for task, pod in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
            filled = {key["envVar"] for secret in pod.get("secretAsEnv", []) for key in secret["keyToEnv"]}
            s3 = set() if task == "exec-shares" else set(storage.S3_VARIABLES)
            assert filled == s3 | asks.get(task.removeprefix("exec-"), set()), f"{name}/{task}"


def test_what_fetches_weights_has_the_same_keys_as_the_stages_and_an_image_with_an_s3_client():
    for cluster in (Cluster(), cluster_of(DEFAULT_PROFILE)):
        told = read_cluster(cluster.for_stages(image("serve"), image("evaluate")))
        assert told.secret_of("serving").keys() >= set(storage.S3_VARIABLES)
        assert told.fetch_image == image("evaluate")
    clients = {path.parent.name for path in (ROOT / "images").rglob("*.lock") if "s3fs==" in path.read_text()}
    assert "evaluate" in clients
    assert "serve" not in clients
