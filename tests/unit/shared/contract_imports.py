"""What the contracts that run in an image import, read from their source."""

import ast
from pathlib import Path

COMPONENTS = Path(__file__).parents[3] / "components"


def imports_of_contracts(image: str) -> list[str]:
    """The import statements in the bodies of all contracts that run in an image: the image must hold what they import."""
    found = set()
    for path in sorted(COMPONENTS.glob("*.py")):
        for function in ast.parse(path.read_text()).body:
            decorators = getattr(function, "decorator_list", [])
            if any(ast.unparse(decorator).startswith(f"contract('{image}'") for decorator in decorators):
                found |= {ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)}
    return sorted(found)
