"""Options that several commands of `globe` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from globe.errors import InputError


def some_path(text: str) -> Path:
    """A path that a user gave: an empty one, such as an unset variable leaves, does not mean this folder.

    Raises:
        InputError: It is empty, no file system takes it, or it is an address, of which `Path` would make a folder named `s3:`.
    """
    if not text.strip() or "\0" in text:
        raise InputError(f"{text!r} is not a path; name a file or a folder ('.' for this one)")
    if "://" in text:
        raise InputError(f"{text}: lies elsewhere; this needs a file or a folder of this machine")
    return Path(text)


Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the recipe.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]
PromptFile = Annotated[
    Path | None,
    typer.Option("--prompt", parser=some_path, metavar="FILE", help="Text to ask with [the recipe's, the model's own]."),
]
RecipeName = Annotated[str, typer.Option(help="Recipe, or a YAML file [what the model's manifest says, else full size].")]
