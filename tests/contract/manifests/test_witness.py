"""manifests/witness: its values are edited in one file, its command line serves, and it is asked as its README says."""

import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from image_files import script
from rendered import MANIFESTS, named, of_kind, render
from test_network import ATTACKER, DNS, HTTPS, OUTSIDE, Pod, a_stage, policies_of, reaches, server
from witness_server import REASONINGS, build_tiny_models

from components.images import image
from globe.curation.teachers.named import parse_teachers
from globe.keys import TEACHER_KEY, is_inside, may_carry_secrets, why_withheld
from globe.witness.alignment import Alignment
from globe.witness.wanted import Wanted

FOLDER = MANIFESTS / "witness"
SETTINGS = yaml.safe_load((FOLDER / "settings.yaml").read_text())["data"]
README = (FOLDER / "README.md").read_text()
PORT, ANOTHER_PORT = 8090, 8091
KEY = "a-key-of-the-teachers"


def witness(folder=FOLDER):
    (deployment,) = of_kind(folder, "Deployment")
    return deployment, named(deployment["spec"]["template"]["spec"]["containers"], "witness")


def edited(to, **values):
    """The folder once somebody has set these values."""
    assert values.keys() <= SETTINGS.keys()
    copy = Path(shutil.copytree(FOLDER, to / "witness"))
    settings = yaml.safe_load((copy / "settings.yaml").read_text())
    settings["data"] |= values
    (copy / "settings.yaml").write_text(yaml.safe_dump(settings))
    return copy


def options(container):
    return dict(zip(container["args"][::2], container["args"][1::2], strict=True))


def test_everything_is_edited_in_one_file_and_nothing_else_there_has_a_value_of_its_own(tmp_path):
    values = {
        "namespace": "mine",
        "coordinates": "/mnt/globe/c",
        "segmentation": "/mnt/globe/s",
        "alignment": "",
        "replicas": "3",
        "gpus": "0",
        "device": "cpu",
        "cpu": "7",
        "memory": "70Gi",
        "image": "registry.example.org/train@sha256:" + "3b" * 32,
    }
    assert values.keys() == SETTINGS.keys()
    folder = edited(tmp_path, **values)
    assert {one["metadata"]["namespace"] for one in render(folder)} == {"mine"}
    deployment, container = witness(folder)
    asked = {name: options(container)[f"--{name}"] for name in ("coordinates", "segmentation", "alignment", "device")}
    assert asked == {name: values[name] for name in asked}
    assert container["image"] == values["image"]
    assert deployment["spec"]["replicas"] == 3
    assert container["resources"]["requests"] == {"cpu": "7", "memory": "70Gi"}
    assert container["resources"]["limits"] == {"memory": "70Gi", "nvidia.com/gpu": "0"}
    _, ours = witness()
    asked = {name: options(ours)[f"--{name}"] for name in asked}
    assert asked == {name: SETTINGS[name] for name in asked}


def test_the_image_is_the_train_image_and_follows_the_pins(tmp_path):
    assert witness()[1]["image"] == SETTINGS["image"] == image("train")
    (tmp_path / "pins.yaml").write_text("train: globe-train:0.1.0\n")
    copy, reference = edited(tmp_path / "manifests"), f"ghcr.io/owner/globe-train:0.1.0@sha256:{'3b' * 32}"
    script("pin").pin([f"train={reference}"], tmp_path / "pins.yaml", tmp_path / "manifests")
    assert witness(copy)[1]["image"] == reference


@contextmanager
def running(container, **given):
    """The container's own command on this machine, with some options instead of its own."""
    arguments = options(container) | {f"--{name}": value for name, value in given.items()} | {"--port": "0"}
    fixed = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    (secret,) = [one for one in container["env"] if "valueFrom" in one]
    assert secret["valueFrom"]["secretKeyRef"] == {"name": "globe-teachers", "key": secret["name"]}
    command = [*container["command"], *(part for option in arguments.items() for part in option)]
    path = {"PATH": f"{Path(shutil.which('python3')).parent}:/usr/bin:/bin", "HOME": "/tmp", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=path | fixed | {secret["name"]: KEY}, stdout=subprocess.PIPE, text=True) as process:
        try:
            printed = [process.stdout.readline().strip() for _ in range(2)]
            port = re.search(r":(\d+)/v1$", printed[0])[1]
            yield f"http://127.0.0.1:{port}", printed
        finally:
            process.terminate()
            assert process.wait(60) in (0, -signal.SIGTERM)  # uvicorn passes the signal on once it has ended


def ask(url, body=None, key=KEY):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


def test_its_command_line_serves_and_answers_as_the_model_does_whoever_has_the_key(tmp_path):
    _, container = witness()
    models = build_tiny_models(tmp_path)
    given = {"coordinates": "", "segmentation": str(models.segmentation), "alignment": str(models.alignment), "device": "cpu"}
    question = {"model": "tiny-sentences", "texts": list(REASONINGS[:2])}
    with running(container, **given) as (url, printed):
        port = url.rpartition(":")[2]
        kinds = ("segmentation:tiny-segmenter", "alignment:tiny-sentences")
        assert printed == [f"--teacher {kind}@http://{socket.gethostname()}:{port}/v1" for kind in kinds]
        probes = {container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert {ask(url + path, key="none")[0] for path in probes} == {200}
        assert ask(f"{url}/v1/alignment", question, key="another")[0] == 401
        status, answer = ask(f"{url}/v1/alignment", question)
    alone = Alignment(Wanted("alignment", str(models.alignment)), "cpu").judge([REASONINGS[:2]])
    assert (status, answer["score"]) == (200, pytest.approx(alone[0]["score"], abs=1e-5))


def test_the_readme_asks_each_of_them_by_the_service_and_by_the_name_that_its_folder_gives(tmp_path):
    (service,) = of_kind(FOLDER, "Service")
    host = f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    told = parse_teachers(",".join(re.findall(r"--teacher (\S+)", README)))
    witnesses = {one.kind: one for one in told if one.kind != "vlm"}
    expected = {}
    for kind in ("coordinates", "segmentation", "alignment"):
        folder = tmp_path / Path(SETTINGS[kind]).name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": "clip" if kind == "coordinates" else "other"}))
        expected[kind] = (Wanted(kind, str(folder)).name, f"http://{host}/v1")
    assert {kind: (one.model, one.url) for kind, one in witnesses.items()} == expected


def test_the_key_of_the_readmes_secret_goes_to_the_witness_in_a_run_on_a_cluster(monkeypatch):
    url = "http://globe-witness:8090/v1"
    assert may_carry_secrets(url)
    assert is_inside(url)
    monkeypatch.setenv("GLOBE_URLS_FROM_FORM", "1")
    monkeypatch.setenv(TEACHER_KEY.variable, KEY)
    assert why_withheld(url, TEACHER_KEY)  # as the README says
    monkeypatch.setenv(TEACHER_KEY.hosts_variable, re.search(r"GLOBE_TEACHER_HOSTS=(\S+)", README)[1])
    assert why_withheld(url, TEACHER_KEY) == ""


def test_it_is_asked_by_pods_of_ours_on_its_port_and_reaches_nobody():
    policies = [*policies_of(FOLDER), *policies_of(MANIFESTS / "network")]
    deployment, _ = witness()
    served = Pod(deployment["spec"]["template"]["metadata"]["labels"])
    asking = Pod(a_stage().labels, "elsewhere", {"globe.dev/asks-servers": "true"})
    assert all(reaches(policies, pod, served, PORT) for pod in (a_stage(), asking))
    strangers = [ATTACKER, Pod(), OUTSIDE, Pod({"app.kubernetes.io/part-of": "globe"}, namespace="theirs")]
    assert not [pod for pod in strangers if reaches(policies, pod, served, PORT)]
    assert not any(reaches(policies, pod, served, ANOTHER_PORT) for pod in (a_stage(), *strangers))
    assert not any(
        reaches(policies, served, other, port) for other in (OUTSIDE, ATTACKER, server()) for port in (HTTPS, DNS, 8000)
    )


def test_a_runs_tear_down_and_the_cleaning_job_do_not_take_it_for_a_runs():
    for one in render(FOLDER):
        assert not {label for label in one["metadata"]["labels"] if label.startswith("globe.dev/")}


def test_it_ends_only_after_its_last_answers():
    from globe.witness.serve import LAST_ANSWERS_S

    deployment, container = witness()
    drain_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drain_s + LAST_ANSWERS_S
