"""`python -m pipelines`: compile, run and submit the pipelines."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from globe.errors import InputError
from globe.settings import parse_overrides

BAD_INPUT = 2
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _commands() -> None:
    """The pipelines of GLOBE on Kubeflow."""


@app.command()
def run(
    profile: Annotated[str, typer.Argument(help="Name of a profile in pipelines/profiles, or the path of a YAML file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A pipeline parameter (source=FOLDER) or a recipe's (grpo.beta=0)."),
    ] = None,
    redo_from: Annotated[str, typer.Option("--from", metavar="STAGE", help="Repeat this stage and those that need it.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget all earlier results of this home and start anew.")] = False,
    home: Annotated[Path | None, typer.Option(help="Folder for results, logs and reports [runs/PROFILE].")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live view.")] = False,
) -> None:
    """Run the training pipeline on this machine, without a cluster. Finished stages are reused, unfinished ones go on."""
    from pipelines.profile import load_profile
    from pipelines.run import run as run_profile

    loaded = load_profile(profile, parse_overrides(settings or []))
    code = run_profile(
        profile,
        loaded,
        home or Path("runs") / Path(profile).stem,
        redo_from=redo_from,
        fresh=fresh,
        console=Console(),
        plain=plain,
    )
    raise typer.Exit(code)


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    try:
        app()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
