"""Which code decides a stage's result: the modules that do its work and everything they import, found in their sources.

So there is no list to keep by hand, which could forget one. Code that only carries results (`PLUMBING`) does not count, nor what
only stands beside a training (`BESIDE`), nor a recipe's class, whose values are part of a stage's settings.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHOOSERS = ("globe.curation.teachers.named", "globe.data.source")
"""Modules of which a setting picks one import or another: they count themselves, and a stage names the one that it picks."""
RECIPE_CLASSES = (".recipe", ".grpo_recipe")
"""How the modules of recipes' classes end. What they import checks values, such as the names of rewards."""
PLUMBING = (
    "globe.run",
    "globe.storage",
    "globe.recipes",
    "globe.cli",
    "globe.console",
    "globe.errors",
    "globe.files",
    "globe.report",
)
"""Rooms and modules that move, record, announce and draw results."""

BESIDE = {
    "globe.training.child": "starts the command that it is given, and ends it where it can be resumed",
    "globe.training.watchdog": "ends a training that stands still",
    "globe.training.failure": "says why one has failed",
    "globe.training.pace": "says how long one will take",
    "globe.training.further_arguments": "refuses names, and changes no value",
    "globe.training.trainjob.submit": "has a cluster run the command that it is given",
}
"""Modules that work beside a training: none runs in the trainer's processes or makes a part of its command, so a better message
of theirs is no reason to train again. What they import still counts."""


@cache
def code_digest(modules: tuple[str, ...]) -> str:
    """Digest of the sources of some modules of `globe`, by full name, and of all modules that they import."""
    digest = hashlib.sha256()
    for name in sorted(modules_behind(modules)):
        digest.update(name.encode() + b"\0" + source_of(name).read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def modules_behind(modules: tuple[str, ...]) -> frozenset[str]:
    """Some modules of `globe` and all that they import, at the top or inside functions, without `PLUMBING` and `BESIDE`.

    Raises:
        FileNotFoundError: One of them does not exist.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and not _decides_nothing(name):
            found.add(name)
            waiting += _imports(name)
    return frozenset(found - BESIDE.keys())


def source_of(module: str) -> Path:
    """The file of a module of `globe`.

    Raises:
        FileNotFoundError: There is no such module.
    """
    path = ROOT.joinpath(*module.split(".")[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if module.split(".")[0] == ROOT.name and file.is_file():
            return file
    raise FileNotFoundError(f"{module}: no such module")


def _decides_nothing(module: str) -> bool:
    return module == ROOT.name or module.endswith(RECIPE_CLASSES) or any(f"{module}.".startswith(f"{room}.") for room in PLUMBING)


@cache
def _imports(module: str) -> tuple[str, ...]:
    if module in CHOOSERS:
        return ()
    file = source_of(module)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return tuple(name for node in ast.walk(tree) for name in _named(node, package) if _exists(name))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = resolve_name("." * node.level + (node.module or ""), package)
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # such as a plugin, or `python -m` in a child process
        yield node.value


@cache
def _exists(name: str) -> bool:
    try:
        return bool(source_of(name))
    except (FileNotFoundError, OSError, ValueError):
        return False
