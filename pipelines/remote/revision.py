"""The git revision of the checkout from which a pipeline is submitted, and what a version is tagged with."""

import subprocess
from pathlib import Path

from pipelines.backends import Backend
from pipelines.remote.package import Package

ROOT = Path(__file__).parents[2]
PATIENCE_S = 10.0
TAGS_SINCE = (2, 17)
"""KFP has tags of pipelines and their versions from here on (`pipeline.proto`); runs have none in any version."""
TAG_LETTERS = 63


def git_revision(root: Path = ROOT) -> str:
    """The commit that is checked out, with `-dirty` if files differ from it; empty if that is not known."""
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit or Path(top) != root.resolve():
        return ""
    return commit + ("-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def version_tags(package: Package, backend: Backend | None, revision: str) -> dict[str, str]:
    """What an uploaded version is tagged with; nothing on a server without tags."""
    if backend is None or backend.number < TAGS_SINCE:
        return {}
    tags = {"package": package.digest, "kfp": package.made_for, "git": revision}
    return {name: value[:TAG_LETTERS] for name, value in tags.items() if value}


def origin_text(command: str, package: Package, revision: str) -> str:
    """Where something on a server comes from, for its description."""
    made_for = f" for KFP {package.made_for}" if package.made_for else ""
    git = f" of revision {revision}" if revision else ""
    return f"By `python -m pipelines {command}`{git}: package {package.digest}{made_for}"


def _git(root: Path, *command: str) -> str:
    """What git prints, or nothing: no submission fails because there is no git, or no repository."""
    try:
        done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, timeout=PATIENCE_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
