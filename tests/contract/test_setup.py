"""The set-up's own checks: one clear line each, exit code 2, nothing made."""

import builtins
import collections
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "images" / "laptop" / "setup.py"


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


def test_torch_is_installed_in_the_release_of_the_cpu_images(setup):
    assert f"{setup.torch_release()}+cpu" in setup.CPU_BUILDS.read_text().splitlines()


@pytest.mark.parametrize("file", ["TOOLS", "CPU_BUILDS", "LOCK"])
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
    if not module.STAMP.exists() or module.STAMP.read_text() != module.wanted_stamp():
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
