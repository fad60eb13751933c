"""What the images are made of: a base and actions by digest, stages that leave nothing behind, nothing secret; their scripts."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from image_files import HIDE, IMAGES, NAMES, ROOT, locked, locks_of, out_of_reach, project, script
from packaging.utils import canonicalize_name

from components.images import NAMES as CONTRACT_IMAGES
from components.images import image

WORKFLOW = ROOT / ".github" / "workflows" / "publish-images.yaml"
DIGEST = "@sha256:" + "3b" * 32


def instructions():
    """The Containerfile's instructions, continuation lines joined, without comments."""
    lines = [line for line in (IMAGES / "Containerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def stages():
    """What each stage starts from, and its instructions."""
    found = {}
    for line in instructions():
        if line.startswith("FROM "):
            _, parent, _, name = line.split()
            found[name] = (parent, [])
        elif found:
            found[name][1].append(line)
    return found


def image_of(name, variant="gpu"):
    """All instructions that make an image, those of the stages that it starts from first."""
    found = stages()
    made = []
    while name in found:
        name, lines = found[name]
        name = name.replace("${VARIANT}", variant)
        made = lines + made
    assert name == "${BASE}"
    return made


def test_every_image_has_a_pin_a_target_and_a_folder_with_its_locks():
    pins = yaml.safe_load((IMAGES / "pins.yaml").read_text())
    assert sorted(pins) == NAMES == sorted(CONTRACT_IMAGES) == ["curation", "evaluate", "serve", "train"]
    assert set(NAMES) <= set(stages())
    for name in NAMES:
        assert image(name) == pins[name]
        assert all(lock.is_file() for lock in locks_of(name).values())


def test_no_reference_floats():
    files = [IMAGES / "Containerfile", IMAGES / "pins.yaml", *IMAGES.glob("*.py"), *IMAGES.glob("*.sh"), WORKFLOW]
    for path in files:
        assert not re.search(r"\blatest\b", path.read_text()), path


def test_the_base_is_a_public_image_by_digest_and_an_argument_replaces_it():
    [base] = [line for line in instructions() if line.startswith("ARG BASE=")]
    assert re.fullmatch(r"ARG BASE=docker\.io/library/python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base)
    found = stages()
    parents = {parent.replace("${VARIANT}", variant) for parent, _ in found.values() for variant in ("gpu", "cpu")}
    assert parents <= {"${BASE}", "${WHEELS}"} | set(found)
    assert "ARG WHEELS=scratch" in instructions()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_takes_from_the_stages_that_build_its_packages_the_gazetteer_and_the_project(name):
    copied = [line for line in image_of(name) if line.startswith("COPY --from")]
    assert copied == [
        f"COPY --from={name}-packages /opt/venv /opt/venv",
        f"COPY --from={name}-packages /opt/licenses /licenses",
        "COPY --from=gazetteer /opt/globe /opt/globe",
        "COPY --from=project /opt/venv /opt/venv",
    ]
    installed = " ".join(stages()[f"{name}-packages"][1])
    assert set(re.findall(r"images/(\w+)/requirements\S*lock", installed)) == {name}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_runs_as_an_unprivileged_user_of_group_0_with_its_home_in_tmp(name):
    text = image_of(name)
    user = text.index("USER 1001:0")
    assert not [line for line in text[user + 1 :] if line.startswith(("RUN", "COPY", "ADD", "USER"))]
    environment = next(line for line in text if line.startswith("ENV PATH="))
    assert " HOME=/tmp " in environment
    assert "_KFP_RUNTIME=true" in environment
    assert "GLOBE_GAZETTEER=/opt/globe/gazetteer.bin" in environment
    assert f"ENV GLOBE_IMAGE=globe-{name}:${{VERSION}}" in text
    assert [line for line in text if line.startswith(("CMD", "ENTRYPOINT"))] == ['CMD ["globe", "--help"]']


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is_and_where_it_comes_from(name):
    labels = " ".join(line for line in image_of(name) if line.startswith("LABEL "))
    values = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', labels))
    assert values["title"] == f"globe-{name}"
    assert values["description"].startswith("GLOBE on Kubeflow: ")
    assert (values["source"], values["revision"], values["version"]) == ("${SOURCE}", "${REVISION}", "${VERSION}")
    assert f"ARG VERSION={project()['version']}" in instructions()


def test_a_builders_settings_come_as_secrets_and_what_is_fetched_is_cached_outside_the_layers():
    for line in instructions():
        assert not re.match(r"(ARG|ENV)\b.*(TOKEN|PASSWORD|SECRET|INDEX_URL|PROXY)", line, re.IGNORECASE), line
        if line.startswith("RUN") and "--require-hashes" in line:
            assert "--mount=type=cache,target=/root/.cache" in line
            assert "--mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt" in line
        elif line.startswith("RUN") and "pip install" in line:
            assert "--offline" in line, "only a locked install may fetch"


def test_what_comes_as_sources_is_built_with_locked_tools_or_not_at_all():
    """A build in isolation would fetch its tools by name."""
    installs = [line for line in instructions() if "uv pip install" in line and "--require-hashes" in line]
    assert len(installs) == len(NAMES) + 1, "each image's, and the gazetteer's"
    for line in installs:
        built = "--build-constraints images/base/tools.lock" in line
        assert built or "--no-build" in line


def test_the_build_context_holds_only_what_is_allowed_into_it():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert all(line.startswith("!") or line.startswith("**/") for line in rules[1:])


def test_the_gazetteer_is_built_from_no_more_of_the_project_than_its_stage_copies(tmp_path):
    for line in stages()["gazetteer"][1]:
        if line.startswith("COPY components"):
            *sources, target = line.split()[1:]
            for source in map(Path, sources):
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, tmp_path / target)
                else:
                    (tmp_path / target).mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, tmp_path / target)
    there = set(locked(IMAGES / "base" / "gazetteer.lock"))
    program = "\n".join([HIDE, f"hide({out_of_reach(there)!r})", "import globe.geo.build; print(globe.geo.build.__file__)"])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "components")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.startswith(str(tmp_path)), done.stderr[-2000:]


# images/licences.py: what the images hold, and under which licences

VARIANTS = [(name, variant) for name in NAMES for variant in locks_of(name)]
every_variant = pytest.mark.parametrize(("name", "variant"), VARIANTS)
EVALUATE_LOCK = IMAGES / "evaluate" / "requirements.lock"


def licence_label(name, variant):
    """The licence expression that an image is labelled with: the last one counts."""
    labels = " ".join(line for line in image_of(name, variant) if line.startswith("LABEL "))
    return re.findall(r'image\.licenses="([^"]*)"', labels)[-1]


@every_variant
def test_an_images_licence_is_that_of_all_that_its_lock_holds(name, variant):
    label = licence_label(name, variant)
    known = script("licences").table()
    for package in {**locked(locks_of(name)[variant]), **locked(IMAGES / "base" / "kfp.lock")}:
        licence = known[package]
        assert licence in label or set(licence.split(" AND ")) <= set(label.split(" AND ")), f"{package}: {licence}"
    assert {"Apache-2.0", "LicenseRef-Debian", "CC-BY-4.0"} <= set(label.split(" AND ")), "the project, the base, the places"
    assert label == script("licences").of_image(name, "" if variant == "any" else variant), "python images/licences.py labels"


@every_variant
def test_an_images_licence_is_an_expression_that_spdx_knows(name, variant):
    from license_expression import get_spdx_licensing

    licensing = get_spdx_licensing()
    unknown = licensing.unknown_license_keys(licence_label(name, variant), unique=True)
    assert {key for key in unknown if not key.startswith("LicenseRef-")} == set()


def test_what_is_not_free_is_said_to_be_in_the_images_that_hold_it_and_in_no_others():
    holders = {
        licence: {pair for pair in VARIANTS if licence in licence_label(*pair)} for licence in ("Intel", "NVIDIA", "GPL-2.0")
    }
    heavy = {("serve", "gpu"), ("serve", "cpu"), ("train", "gpu"), ("train", "cpu")}
    assert holders["NVIDIA"] == heavy, "torchvision's wheel brings CUDA's runtime along, wherever it is used"
    assert holders["Intel"] == {("serve", "cpu")}
    assert holders["GPL-2.0"] == {("train", "gpu"), ("train", "cpu")}, "av brings x264 along"


def test_the_table_says_what_the_packages_themselves_say():
    known = script("licences").table()
    told = {canonicalize_name(found.name): found.metadata["License-Expression"] for found in importlib.metadata.distributions()}
    compared = {name: licence for name, licence in told.items() if licence and name in known}
    assert len(compared) > 80
    for name, licence in compared.items():
        assert known[name] == licence or known[name].startswith(f"{licence} AND "), name


def test_a_package_whose_licence_is_not_known_is_told_in_one_line(tmp_path, monkeypatch):
    licences = script("licences")
    table = tmp_path / "licences.txt"
    table.write_text(re.sub(r"(?m)^pandas:.*\n", "", licences.TABLE.read_text()))
    monkeypatch.setattr(licences, "TABLE", table)
    with pytest.raises(ValueError, match=r"^evaluate/requirements\.lock: the licence of pandas is not known; add a line .*txt$"):
        licences.of_image("evaluate", "")


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """What the script writes for an environment with the packages of the evaluate image: this one's, and no others."""
    folder = tmp_path_factory.mktemp("environment")
    site = folder / "venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    names = set(locked(EVALUATE_LOCK))
    for found in importlib.metadata.distributions(path=[sysconfig.get_path("purelib")]):
        if canonicalize_name(found.name) in names:
            shutil.copytree(found._path, site / found._path.name)
    command = [
        sys.executable,
        str(IMAGES / "licences.py"),
        "packages",
        "evaluate",
        str(folder / "venv"),
        str(folder / "licenses"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "licenses"


def test_an_image_lists_its_packages_each_with_release_licence_and_notices(listed):
    document = json.loads((listed / "sbom.cdx.json").read_text())
    components = {component["name"]: component for component in document["components"]}
    assert {name: component["version"] for name, component in components.items()} == {
        name: release for name, (release, _) in locked(EVALUATE_LOCK).items()
    }
    known = script("licences").table()
    assert all(component["licenses"] == [{"expression": known[name]}] for name, component in components.items())
    assert document["metadata"]["component"]["licenses"] == [{"expression": licence_label("evaluate", "any")}]
    for component in components.values():
        assert component["properties"], component["name"]
        for notice in component["properties"]:
            assert (listed / notice["value"]).stat().st_size > 0
    [numpy] = [notice["value"] for notice in components["numpy"]["properties"]]
    assert "GCC-exception" in (listed / numpy).read_text(), "of what its wheel brings along, too"


def test_the_list_is_what_its_format_asks_for(listed):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str((listed / "sbom.cdx.json").read_text()) is None


def test_an_environment_with_a_package_of_unknown_licence_gets_no_list(tmp_path):
    package = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "secret-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: secret\nVersion: 1.0\n")
    command = [sys.executable, str(IMAGES / "licences.py"), "packages", "evaluate", str(tmp_path / "venv"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: evaluate: the licence of secret is not known; add a line .*\n", done.stderr)
    assert not (tmp_path / "out").exists()


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
    build = next(step["with"] for step in jobs["build"]["steps"] if step.get("id") == "build")
    assert (build["file"], build["target"]) == ("images/Containerfile", "${{ matrix.image }}")
    pinning = next(step for step in jobs["compile"]["steps"] if "images/pin.py" in step.get("run", ""))
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
