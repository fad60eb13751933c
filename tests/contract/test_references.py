"""What docstrings, comments and the README point to is there: a reader who follows a name must arrive."""

import ast
import re
from pathlib import Path

import pytest

from globe import storage
from globe.curation.recipe import API_KEY_VARIABLE

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("components", "pipelines", "tests", "images") for path in (ROOT / folder).rglob("*.py"))
DOTTED = re.compile(r"`+(globe(?:\.\w+)+)(?:\(\))?`+")
VARIABLE = re.compile(r"`((?:GLOBE|AWS|AZURE|KFP)_\w+)`")
SEE = re.compile(r"\bsee\s+`(\w+(?:\.\w+)*)`")


def module_of(parts: list[str]) -> tuple[Path, list[str]]:
    """The file or package that a dotted name begins with, and what is left of the name."""
    for length in range(len(parts), 0, -1):
        place = ROOT / "components" / Path(*parts[:length])
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path, parts[length:]
    raise AssertionError(f"no module {'.'.join(parts)}")


def names_in(path: Path) -> set[str]:
    """Every name that a module or a class, function or argument of it has, imported ones included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def missing(path: Path) -> list[str]:
    """References of a file that lead nowhere."""
    text = path.read_text()
    lost = []
    for name in {*DOTTED.findall(text), *(name for name in SEE.findall(text) if name.startswith("globe."))}:
        module, rest = module_of(name.split("."))
        lost += [name] if rest and rest[0] not in names_in(module) else []
    own = names_in(path)
    return lost + [name for name in SEE.findall(text) if not name.startswith("globe.") and name.split(".")[0] not in own]


@pytest.mark.parametrize("path", [path for path in FILES if path != Path(__file__)], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_file_refers_to_is_there(path):
    assert missing(path) == []


def test_a_reference_to_nothing_is_found(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""See: `globe.run.stage.no_such`, `globe.run.stage.run_stage`; see `there`, see `gone`."""\nthere = 1\n')
    assert missing(path) == ["globe.run.stage.no_such", "gone"]


def test_the_readme_names_variables_that_code_reads_and_all_that_storage_and_teachers_need():
    named = set(VARIABLE.findall((ROOT / "README.md").read_text()))
    code = "".join(path.read_text() for path in FILES if "tests" not in path.parts)
    assert {name for name in named if f'"{name}"' not in code} == set()
    assert {*storage.VARIABLES, API_KEY_VARIABLE} - named == set()


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md"])
def test_the_files_that_a_document_names_are_there(name):
    named = re.findall(r"`((?:globe|components|pipelines|manifests|images|tests)/[\w./-]+)`", (ROOT / name).read_text())
    places = [ROOT / ("components" if path.startswith("globe/") else "") / path for path in named]
    assert named
    stand_for_many = re.compile(r"NAME|STAGE|ROOM")
    assert [str(path) for path in places if not path.exists() and not stand_for_many.search(str(path))] == []
