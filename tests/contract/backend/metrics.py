"""What a stage may log: figures that the launcher can write down."""

import ast
from collections.abc import Iterator

from backend.package import Package
from pipelines.backends import Backend

LOGGED = ("log_metric",)
CHECKED = ("finite",)
"""Functions of components that leave nothing but finite numbers."""


def metrics_are_finite_numbers(package: Package, backend: Backend) -> Iterator[str]:
    """metadata/converter.go: StructValueToMLMDValue knows no null, and launcher_v2.go: getExecutorOutputFile reads no NaN.

    Either fails a stage that has finished its work; 2.5 to 2.17. A figure passes if it comes out of a loop over what
    `globe.run.artifacts.finite` returned.
    """
    for label, container in package.executors.items():
        for call, loops in _calls(_source(container)):
            if not any(_is_checked(loop) for loop in loops):
                yield f"{label}: a figure that is None or NaN fails the stage: {ast.unparse(call)}"


def _source(container: dict) -> str:
    """The component's Python source: the SDK hands it over as an argument of the shell."""
    return next((text for text in container.get("command", []) if "\ndef " in text), "")


def _calls(source: str) -> Iterator[tuple[ast.Call, list[ast.For]]]:
    """Each call that logs a figure, with the loops around it."""

    def walk(node: ast.AST, loops: list[ast.For]) -> Iterator[tuple[ast.Call, list[ast.For]]]:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGGED:
            yield node, loops
        for child in ast.iter_child_nodes(node):
            yield from walk(child, [*loops, node] if isinstance(node, ast.For) else loops)

    yield from walk(ast.parse(source), [])


def _is_checked(loop: ast.For) -> bool:
    """Whether a loop goes over the items of a checking function's result."""
    calls = [node.func for node in ast.walk(loop.iter) if isinstance(node, ast.Call)]
    return any((one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "")) in CHECKED for one in calls)
