"""Make .venv for `make demo` and `make test`: python3 images/laptop/setup.py

Needs Python 3.11 or newer with its venv module, and nothing else; only the standard library is imported here. Does nothing
when .venv is already what the locks ask for. Written so that an old Python can still read it and say what is wrong.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / "base" / "tools.lock"
CPU_BUILDS = HERE.parent / "base" / "cpu.txt"
LOCK = HERE / "requirements.lock"
VENV = ROOT / ".venv"
STAMP = VENV / "globe-setup"
NEEDED_GB = 5
BAD_INPUT = 2
NO_WHEEL = (
    "no CPU wheel of {} could be installed; name a folder that holds one, as in\n"
    "       make setup TORCH_WHEELS=/path/to/folder   (see README, Set-up)"
)


def fail(text):
    """Say what is wrong in one line and end with exit code 2."""
    sys.stdout.flush()
    print("error: " + text, file=sys.stderr)
    sys.exit(BAD_INPUT)


def check_machine():
    """Stop at once where the set-up cannot succeed."""
    if sys.version_info < (3, 11):
        fail(
            "Python 3.11 or newer is needed, this is {}.{}; name one: make setup PYTHON=python3.12".format(*sys.version_info[:2])
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail("this Python has no venv module; on Debian or Ubuntu: apt-get install python3-venv")
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < NEEDED_GB and not VENV.exists():
        fail("{:.1f} GB are free in {}, {} GB are needed; free some or clone elsewhere".format(free_gb, ROOT, NEEDED_GB))


def check_place():
    """Stop where .venv is somebody else's: making it anew would empty what the link leads to."""
    if VENV.is_symlink() or (VENV.exists() and not (VENV / "pyvenv.cfg").is_file() and any(VENV.iterdir())):
        fail("{} is a link, or no virtual environment; remove it and run this again".format(VENV))


def wanted_stamp():
    """Digest of everything that decides what .venv holds."""
    digest = hashlib.sha256("{} {}".format(sys.version_info[:2], sys.base_prefix).encode())
    files = [HERE / "setup.py", TOOLS, CPU_BUILDS, LOCK, ROOT / "pyproject.toml"]
    for path in files + sorted((HERE / "stack").glob("*.p*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def install(label, *arguments, **environment):
    """Run `uv pip install` in .venv; True when it succeeded.

    Bytecode is compiled now: where Python may not write it later, every process of a run would compile torch anew.
    """
    print("[setup] " + label, flush=True)
    python = str(VENV / "bin" / "python")
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    return subprocess.run(command + list(arguments), cwd=str(ROOT), env=dict(os.environ, **environment)).returncode == 0


def torch_release():
    """The requirement torch==RELEASE, without the mark of the CPU build."""
    return re.search(r"^torch==[^+\s]+", CPU_BUILDS.read_text(), re.MULTILINE).group()


def install_torch():
    """Install torch before all else, its CPU build: a resolver left alone takes gigabytes of CUDA with it."""
    torch = torch_release()
    where = os.environ.get("TORCH_WHEELS") or os.environ.get("PIP_FIND_LINKS")
    if where and install(torch + " (CPU)", torch + "+cpu", "--find-links", where):
        return
    if not install(torch + " (CPU), from PyTorch's own index", torch, "--torch-backend", "cpu"):
        fail(NO_WHEEL.format(torch))


def main():
    """Bring .venv to what the locks ask for."""
    check_machine()
    check_place()
    stamp = wanted_stamp()
    if STAMP.exists() and STAMP.read_text() == stamp and (VENV / "bin" / "globe").exists():
        return
    print("[setup] {} with Python {}.{}".format(VENV, *sys.version_info[:2]), flush=True)
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode:
        fail("{} could not be created".format(VENV))
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "install", "--require-hashes", "-r", str(TOOLS)]).returncode:
        fail("the tools of images/base/tools.lock could not be installed; is the package index reachable?")
    install_torch()
    # --no-deps: the lock is complete but for what images/lock.py leaves out of it.
    if not install("the locked packages", "--no-deps", "--require-hashes", "-r", str(LOCK)):
        fail("the packages of images/laptop/requirements.lock could not be installed; see above")
    if not install("the project", "--no-deps", "--no-build-isolation", "-e", ".", str(HERE / "stack")):
        fail("the project itself could not be installed; see above")
    print("[setup] the gazetteer", flush=True)
    if subprocess.run([str(VENV / "bin" / "globe"), "geocode", "Paris, France"], stdout=subprocess.DEVNULL).returncode:
        fail("the gazetteer could not be built; see above")
    STAMP.write_text(stamp)
    print("[setup] done", flush=True)


if __name__ == "__main__":
    main()
