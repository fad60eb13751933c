"""The field `arguments` of a recipe: whether ms-swift has arguments of these names, asked before anything is spent.

Only ms-swift knows them all, several hundred that change with its version. So its own classes are asked, in a process of their
own, for they import torch and everything else.
"""

import difflib
import json
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec

from globe.errors import GlobeError, InputError
from globe.training.recipe import TrainRecipe
from globe.training.swift import environment_of, outer_environment

CLASSES = {"sft": "SftArguments", "rlhf": "RLHFArguments"}
"""ms-swift's class of a command's arguments."""
PATIENCE_S = 600
_ASK = """
import dataclasses, json, sys
import swift.arguments
print("\\n@@" + json.dumps([field.name for field in dataclasses.fields(getattr(swift.arguments, sys.argv[1])) if field.init]))
"""


def require_known_arguments(command: str, recipe: TrainRecipe) -> None:
    """Check the names of a recipe's further arguments; a recipe without any costs nothing.

    Args:
        command: ms-swift's command, "sft" or "rlhf".
        recipe: The recipe.

    Raises:
        InputError: ms-swift has no argument of such a name.
        GlobeError: ms-swift cannot be asked.
    """
    if not recipe.arguments:
        return
    known = _known(command, recipe)
    for name in recipe.arguments:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3)
            meant = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"arguments.{name}: `swift {command}` has no such argument{meant}")


def refuse_unknown_overrides(stage: str, recipe: TrainRecipe, keys: Iterable[str]) -> None:
    """Check further arguments that somebody gives with a run, if ms-swift is here: what only checks a run may be without it.

    Args:
        stage: The stage.
        recipe: Its recipe, with the overrides.
        keys: The overrides' dotted keys.

    Raises:
        InputError: ms-swift has no argument of such a name.
    """
    if any(key.split(".")[0] == "arguments" for key in keys) and find_spec("swift"):
        require_known_arguments("rlhf" if stage == "grpo" else "sft", recipe)


def _known(command: str, recipe: TrainRecipe) -> list[str]:
    environment = outer_environment() | environment_of(recipe) | {"CUDA_VISIBLE_DEVICES": ""}
    argv = [sys.executable, "-c", _ASK, CLASSES[command]]
    try:
        asked = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=PATIENCE_S, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        last = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1:]
        raise GlobeError(f"ms-swift cannot be asked which arguments it has: {' '.join(last)}") from error
    return list(json.loads(asked.stdout.rpartition("\n@@")[2]))
