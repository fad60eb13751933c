"""The field `arguments` of a recipe: whether ms-swift has arguments of these names, asked before anything is spent.

Only ms-swift knows them all, several hundred that change with its version, and what checks a run may be without it. So their
names lie beside this module, as the locked ms-swift's own classes have them. A test compares the two; after another ms-swift is
locked, `python tests/contract/test_swift_arguments.py` writes them anew.
"""

import difflib
import json
from functools import cache
from pathlib import Path

from globe.errors import InputError
from globe.training.recipe import TrainRecipe

NAMES_FILE = Path(__file__).with_name("swift_arguments.json")
"""ms-swift's version and, by its command, the names of its arguments."""


def require_known_arguments(command: str, recipe: TrainRecipe) -> None:
    """Check the names of a recipe's further arguments.

    Args:
        command: ms-swift's command, "sft" or "rlhf".
        recipe: The recipe.

    Raises:
        InputError: ms-swift has no argument of such a name.
    """
    known = _names()
    for name in recipe.arguments:
        if name not in known[command]:
            close = difflib.get_close_matches(name, known[command], 3)
            meant = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"arguments.{name}: `swift {command}` of ms-swift {known['ms_swift']} has no such argument{meant}")


def command_of(stage: str) -> str:
    """The command of ms-swift that a training stage runs."""
    return "rlhf" if stage == "grpo" else "sft"


@cache
def _names() -> dict[str, list[str]]:
    return dict(json.loads(NAMES_FILE.read_text(encoding="utf-8")))
