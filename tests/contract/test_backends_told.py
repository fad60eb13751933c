"""What is told of the backends: README's tables say what the code says."""

import re
from pathlib import Path

import pytest

from pipelines.backends import BACKENDS, LACKS
from pipelines.compile import COMPILED

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
VERSIONS = " | ".join(BACKENDS)
LACKING = "✗"


def rows_below(head):
    """The rows of the table with this head, each as a list of its cells."""
    assert f"\n{head}\n" in README, f"README has no table that begins with: {head}"
    table = README.split(f"\n{head}\n")[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in table]


def test_the_table_of_what_backends_cannot_do_is_that_of_the_code():
    expected = [
        [text, *("" if getattr(backend, name) else LACKING for backend in BACKENDS.values())] for name, text in LACKS.items()
    ]
    lines = [f"| {' | '.join(row)} |" for row in expected]
    assert rows_below(f"| it cannot ... | {VERSIONS} |") == expected, "write:\n" + "\n".join(lines)


def test_the_table_of_packages_names_the_folders_that_are_committed_and_where_their_backends_are_found():
    expected = [[f"`pipelines/compiled/{backend.folder}/`", backend.found_in] for backend in BACKENDS.values()]
    assert rows_below("| package | backend |") == expected
    assert {folder.name for folder in COMPILED.iterdir()} == {backend.folder for backend in BACKENDS.values()}


def test_every_row_tells_backends_apart():
    for name in LACKS:
        assert {bool(getattr(backend, name)) for backend in BACKENDS.values()} == {True, False}, name


@pytest.mark.parametrize("document", ["README.md", "manifests/README.md"])
def test_every_folder_of_manifests_that_is_named_in_quotes_or_commands_is_there(document):
    named = set(re.findall(r"(?:`|-k |=)(manifests/[\w./-]*\w)", (ROOT / document).read_text()))
    assert len(named) > 1
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_part_of_an_overlay_that_readme_applies_is_there_for_both_of_them():
    parts = set(re.findall(r"\$overlay/([\w/.]*\w)", README))
    assert parts >= {"storage", "files", "settings/settings.yaml"}
    for overlay in (ROOT / "manifests" / "overlays").iterdir():
        assert [part for part in sorted(parts) if not (overlay / part).exists()] == []
