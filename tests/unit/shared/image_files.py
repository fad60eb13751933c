"""The files of images/, read for tests: locks, requirements, and the scripts as modules."""

import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "images"
NAMES = sorted({path.parent.name for path in IMAGES.glob("*/requirements*.in")} - {"laptop"})
HEAVY = ("train", "serve")
"""The images that have a lock for each variant."""
CPU_OVERRIDES = IMAGES / "base" / "cpu.overrides"
CPU_BUILDS = IMAGES / "base" / "cpu.txt"
HIDE = """
import sys
class Hidden:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in Hidden.names:
            raise ModuleNotFoundError(f"{name}: the image does not hold it", name=name)
def hide(names):
    Hidden.names = names
    sys.meta_path.insert(0, Hidden)
"""
"""Program text that makes packages impossible to import."""


def project() -> dict[str, Any]:
    """The project's section of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def script(name: str) -> ModuleType:
    """A script of images/ as a module."""
    spec = importlib.util.spec_from_file_location(f"images_{name}", IMAGES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked(path: Path) -> dict[str, tuple[str, str]]:
    """Release and hashes of each package in a lock."""
    found = {}
    for line in path.read_text().replace("\\\n", " ").splitlines():
        name, release, hashes = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *", line).groups()
        found[canonicalize_name(name)] = (release, hashes)
    return found


def locks_of(name: str) -> dict[str, Path]:
    """The locks of an image by variant."""
    locks = {"gpu": IMAGES / name / "requirements.gpu.lock", "cpu": IMAGES / name / "requirements.cpu.lock"}
    return locks if name in HEAVY else {"any": IMAGES / name / "requirements.lock"}


def requirements(path: Path) -> list[Requirement]:
    """The requirements that a file names itself, not those of the project or of another file."""
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith((".", "-r"))]


def out_of_reach(there: set[str]) -> set[str]:
    """Modules of this environment that belong to none of the named packages."""
    owners = importlib.metadata.packages_distributions()
    return {module for module, packages in owners.items() if not there & set(map(canonicalize_name, packages))}
