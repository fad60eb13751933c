"""Which secrets, and whether the claim, the backends' drivers give each stage's pod; the packages are the committed ones."""

import pytest
import yaml

from backend.package import Package
from backend.pod import pod_of
from components.contract import stage_of
from globe.run.cluster import NO_SECRET, Cluster, Secret
from globe.storage import S3_VARIABLES
from pipelines.backends import BACKENDS
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED, compiled_text

WHERE = {
    "GLOBE_TEACHER_API_KEY": {"validate", "annotate", "curation"},
    "GLOBE_API_KEY": {"validate", "evaluation"},
    "GLOBE_WEBHOOK_URL": {"teardown"},
}
"""Stages whose pods get a key."""
BEFORE_AND_AFTER = {"validate", "teardown"}
"""Stages that cannot know from the first task's answer whether anything is on S3. They run no model."""
packages = pytest.mark.parametrize(
    ("backend", "name"),
    [pytest.param(backend, name, id=f"{backend.folder}-{name}") for backend in BACKENDS.values() for name in PIPELINES],
)


def pods(package, backend, s3_secret):
    """Each task's pod, with the stage that it is, once the first task has named a secret for S3."""
    for task in package.pods():
        words = [*task.container["command"], *task.container["args"]]
        stage = stage_of(words[words.index("--function_to_execute") + 1].replace("_", "-")).name

        def look_up(source):
            name = source.get("componentInputParameter") or source["taskOutputParameter"]["outputParameterKey"]
            return s3_secret if name.endswith("s3_secret") else {} if name.endswith("nodes") else []

        texts = [name for name in task.needs if task.takes.get(name, {"parameterType": "STRING"})["parameterType"] == "STRING"]
        inputs = {name: "0" for name in texts if name.endswith("gpus")}
        yield stage, pod_of(task, inputs, backend, look_up)


def variables(pod):
    """By variable that a secret fills, the secret: as a variable, or as a file that the supervisor reads."""
    main = pod["spec"]["containers"][0]
    keys = [(one["name"], one["valueFrom"]["secretKeyRef"]["name"]) for one in main["env"] if "secretKeyRef" in str(one)]
    mounts = {mount["mountPath"]: mount["name"] for mount in main["volumeMounts"]}
    words = main["command"]
    told = [words[place + 1].rpartition(":") for place, word in enumerate(words) if word == "--secret"]
    return dict(keys) | {key: mounts[folder] for folder, _, names in told for key in names.split(",")}


def secrets_in(pod):
    """Names of all secrets that a pod can read, whatever it is told to read of them."""
    main = pod["spec"]["containers"][0]
    return {one["valueFrom"]["secretKeyRef"]["name"] for one in main["env"] if "secretKeyRef" in str(one)} | {
        volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume
    }


def committed(backend, name):
    return Package.of(COMPILED / backend.folder / f"{name}.yaml")


@packages
def test_a_key_is_in_the_pods_of_those_stages_alone_that_use_it(backend, name):
    for stage, pod in pods(committed(backend, name), backend, "globe-s3"):
        got = variables(pod)
        assert {key for key in WHERE if key in got} == {key for key, stages in WHERE.items() if stage in stages}, stage
        expected = {"globe-teachers"} & {"globe-teachers" for key in got if key in ("GLOBE_TEACHER_API_KEY", "GLOBE_API_KEY")}
        assert "globe-teachers" in secrets_in(pod) or not expected
        assert "globe-teachers" not in secrets_in(pod) or expected, f"{stage} could read the file"


@packages
def test_in_a_run_with_something_on_s3_every_stage_that_reads_the_store_has_its_keys(backend, name):
    for stage, pod in pods(committed(backend, name), backend, "globe-s3"):
        got = {key: secret for key, secret in variables(pod).items() if key in S3_VARIABLES}
        assert got == dict.fromkeys(S3_VARIABLES, "globe-s3"), stage


@packages
def test_in_a_run_with_nothing_on_s3_no_pod_that_runs_a_model_or_reads_pictures_has_its_keys(backend, name):
    seen = set()
    for stage, pod in pods(committed(backend, name), backend, NO_SECRET):
        seen.add(stage)
        assert ("globe-s3" in secrets_in(pod)) == (stage in BEFORE_AND_AFTER), stage
        assert "globe-s3" not in str(pod) or stage in BEFORE_AND_AFTER or not backend.optional_secrets
    assert seen > BEFORE_AND_AFTER


@packages
def test_every_emptied_volume_of_ours_has_a_limit(backend, name):
    for stage, pod in pods(committed(backend, name), backend, "globe-s3"):
        ours = {volume["name"]: volume["emptyDir"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume}
        limits = {volume: ours[volume].get("sizeLimit") for volume in ("scratch", "shm") if volume in ours}
        assert "scratch" in limits
        assert all(limits.values()), stage


def compiled(name, backend, cluster):
    return Package.read(compiled_text(PIPELINES[name], cluster, backend))


@packages
def test_a_signing_secret_reaches_every_stage_that_reads_the_store_and_says_so_there(backend, name):
    signing = Cluster(signing_secret="our-signing")
    for stage, pod in pods(compiled(name, backend, signing), backend, "globe-s3"):
        said = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        got = (variables(pod).get("GLOBE_SIGNING_KEY"), said.get("GLOBE_SIGNED"))
        assert got == ("our-signing", "our-signing"), stage


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_without_one_no_pod_is_told_that_records_are_signed(backend):
    text = (COMPILED / backend.folder / "training.yaml").read_text()
    assert "GLOBE_SIGN" not in text.replace('"signing_secret"', "")
    told = [task.needs.get("cluster", {}) for task in Package.read(text).tasks()]
    assert all(one["runtimeValue"]["constant"]["signing_secret"] == "" for one in told if "runtimeValue" in one)


@pytest.mark.parametrize(
    "secrets",
    [
        [Secret(name="ours", keys=[*S3_VARIABLES, "OTHER"])],
        [Secret(name="ours", keys=["AWS_ACCESS_KEY_ID"]), Secret(name="region", keys=["AWS_REGION"])],
        [Secret(name="ours", keys=["AWS_ACCESS_KEY_ID"], stages=["sft"])],
    ],
    ids=["with other keys", "in two secrets", "for stages that are named"],
)
def test_what_one_name_cannot_say_is_in_the_pods_of_every_run(secrets):
    backend = BACKENDS["2.17"]
    (pod,) = [
        pod for stage, pod in pods(compiled("training", backend, Cluster(secrets=secrets)), backend, NO_SECRET) if stage == "sft"
    ]
    assert set(variables(pod)) == {key for secret in secrets for key in secret.keys}
    assert NO_SECRET not in secrets_in(pod)


def test_a_secret_for_nothing_is_made_by_nobody():
    assert NO_SECRET not in {secret.name for secret in Cluster().every_secret()}
    assert NO_SECRET not in yaml.safe_dump(Cluster().model_dump())
