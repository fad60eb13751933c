"""Options that several commands of `globe` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from globe.console import printable
from globe.errors import InputError


def some_path(text: str) -> Path:
    """A path from the user: an empty one, perhaps from an unset variable, does not mean the current folder.

    Raises:
        InputError: It is empty, not a valid path, or an address, which `Path` would take for a folder named `s3:`.
    """
    if not text.strip() or "\0" in text:
        raise InputError(f"{text!r} is not a path; name a file or a folder ('.' for this one)")
    if "://" in text:
        raise InputError(f"{text}: is not on this machine; give a local file or folder")
    return Path(text)


def some_source(text: str) -> str:
    """Photos or a dataset from the user: a data set's name, NAME@PLACE, a path or an s3:// address.

    Raises:
        InputError: It is empty, or cannot be a path.
    """
    if not text.strip() or "\0" in text:
        raise InputError(f"{text!r} is no data set; give its name, NAME@PLACE, a file or folder, or an s3:// address")
    return text


class CommandGroup(TyperGroup):
    """Commands whose own errors, which quote what was typed, are safe to print."""

    def make_context(self, *given: Any, **more: Any) -> Any:
        """As the class above has it; finds the command and reads its options."""
        with _printable_errors():
            return super().make_context(*given, **more)

    def invoke(self, ctx: Any) -> Any:
        """As the class above has it; reads the command's own options, and runs it."""
        with _printable_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            error.message = "\n".join(map(printable, message.split("\n")))  # type: ignore[attr-defined]  # a help has lines
        raise


Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the recipe.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]
PromptFile = Annotated[
    Path | None,
    typer.Option("--prompt", parser=some_path, metavar="FILE", help="Text to ask with [the recipe's, the model's own]."),
]
RecipeName = Annotated[str, typer.Option(help="Recipe, or a YAML file [what the model's manifest says, else full size].")]
