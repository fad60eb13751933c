"""`python -m pipelines`: compile, run and submit the pipelines, and clean up after a run."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from globe.cli.options import CommandGroup, some_path
from globe.cli.serving import clean
from globe.console import one_line
from globe.errors import GlobeError, InputError, cannot_write, is_machines
from pipelines import BAD_INPUT, DEFAULT_PROFILE, FAILED
from pipelines.remote.schedule import schedule
from pipelines.remote.submit import submit

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__, cls=CommandGroup)


@app.callback()
def _commands() -> None:
    """The pipelines of GLOBE on Kubeflow."""


class Runner(StrEnum):
    """How a local run executes each stage."""

    SUBPROCESS = "subprocess"
    DOCKER = "docker"


@app.command(name="compile")
def compile_pipelines(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a committed file differs from the code.")
    ] = False,
    release: Annotated[bool, typer.Option("--release", help="Refuse images that are not named by digest.")] = False,
    profile: Annotated[
        str, typer.Option(help="Profile whose cluster the files are for, and whose parameters are the defaults.")
    ] = DEFAULT_PROFILE,
    backends: Annotated[
        list[str] | None, typer.Option("--backend", metavar="VERSION", help="Only for this version of KFP, such as 2.16.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=some_path,
            metavar="FOLDER",
            help="Folder for packages, and for custom resources in its `resources` [pipelines/compiled, manifests/pipelines].",
        ),
    ] = None,
) -> None:
    """Compile the pipelines to YAML, a folder for each version of KFP: to upload in the UI, and to apply with kubectl."""
    from pipelines.backends import BACKENDS, find_backend
    from pipelines.compile import COMPILED, compile_all
    from pipelines.resources import RESOURCES

    wanted = {backend.version: backend for backend in map(find_backend, backends or BACKENDS)}
    same = compile_all(
        profile,
        out or COMPILED,
        resources=out / "resources" if out else RESOURCES,
        backends=list(wanted.values()),
        check=check,
        release=release,
        console=Console(),
    )
    raise typer.Exit(0 if same else 1)


@app.command()
def run(
    profile: Annotated[str, typer.Argument(help="Name of a profile in pipelines/profiles, or the path of a YAML file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A pipeline parameter (source=FOLDER) or a recipe's (grpo.beta=0)."),
    ] = None,
    redo_from: Annotated[str, typer.Option("--from", metavar="STAGE", help="Repeat this stage and those that need it.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete all earlier results in this home and start over.")] = False,
    home: Annotated[str | None, typer.Option(help="Folder for results, logs and reports [runs/PROFILE].")] = None,
    pipeline: Annotated[str, typer.Option(help="training, evaluation or curation.")] = "training",
    runner: Annotated[
        Runner, typer.Option(help="Run each stage as a process, or in a container from its image.")
    ] = Runner.SUBPROCESS,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live view.")] = False,
) -> None:
    """Run a pipeline on this machine, without a cluster. Finished stages are reused, unfinished ones resume."""
    from globe.run import preflight
    from globe.run.gpus import gpus_here
    from globe.signing import is_signing
    from pipelines.catalog import find_pipeline
    from pipelines.local.home import find_home
    from pipelines.local.machine import check_machine
    from pipelines.local.run import run as run_pipeline
    from pipelines.paths import on_this_machine
    from pipelines.profile import arguments_of, load_profile, overrides_named, parse_settings

    chosen = find_pipeline(pipeline)
    loaded = load_profile(profile)
    given = parse_settings(chosen, settings or [])
    if "store" in given:
        raise InputError("--set store: a run on this machine keeps its results in its home; give --home FOLDER")
    arguments = on_this_machine(arguments_of(chosen, loaded, given))
    folder = find_home(home if home is not None else str(Path("runs") / Path(profile).stem))
    with overrides_named(profile, given):
        request = chosen.request(arguments | {"store": ""})
        check_machine(request, preflight.check(request), gpus_here())
    is_signing()  # a key that could be guessed
    containers = None
    if runner is Runner.DOCKER:
        from pipelines.local.containers import check_engine

        containers = loaded.containers
        check_engine(containers, chosen.images)
    code = run_pipeline(
        chosen,
        profile,
        chosen.run_title(loaded.title, arguments),
        arguments,
        folder,
        containers=containers,
        redo_from=redo_from,
        fresh=fresh,
        console=Console(),
        plain=plain,
    )
    raise typer.Exit(code)


app.command()(submit)
app.command()(schedule)
app.command()(clean)


def main() -> None:
    """Run the command line; bad input prints one line to stderr and exits with 2, a failure of the machine with 1."""
    try:
        app()
    except GlobeError as error:
        _end(error)
    except OSError as error:
        if not is_machines(error):
            raise
        _end(cannot_write(error.filename or "standard output", error))


def _end(error: GlobeError) -> NoReturn:
    print(f"error: {one_line(str(error))}", file=sys.stderr)
    sys.exit(BAD_INPUT if isinstance(error, InputError) else FAILED)


if __name__ == "__main__":
    main()
