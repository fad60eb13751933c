"""`python -m pipelines schedule`: have a KFP server start a pipeline again and again, such as an evaluation every night."""

from typing import TYPE_CHECKING, Annotated

import typer

from globe.errors import InputError
from globe.recipes.load import parse_overrides
from pipelines import DEFAULT_PROFILE, SUCCEEDED
from pipelines.remote.submit import BackendVersion, CaFile, Namespace, ProfileName, TokenFile, exit_code_of

if TYPE_CHECKING:
    from globe.redactor import Redactor


def schedule(
    pipeline: Annotated[str, typer.Argument(help="training, evaluation or curation, or the path of a compiled YAML.")] = "",
    host: Annotated[str, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="Address of the KFP server.")] = "",
    cron: Annotated[
        str,
        typer.Option(help='When, in the server\'s time zone (UTC by default): five fields as in crontab, such as "0 3 * * *".'),
    ] = "",
    profile: ProfileName = DEFAULT_PROFILE,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A pipeline parameter (model=URI) or a recipe's (evaluation.seed=1). In result=URI, {run} is each run's id.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the recurring run [the pipeline's].")] = "",
    max_concurrency: Annotated[int, typer.Option(min=1, max=10, help="How many of its runs may go on at once.")] = 1,
    catchup: Annotated[
        bool, typer.Option("--catchup/--no-catchup", help="Start every run that was missed, not only the last.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Put this in the place of another one with the same name.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List what is scheduled in the experiment.")] = False,
    delete: Annotated[str, typer.Option(metavar="NAME", help="Delete what is scheduled under this name.")] = "",
    experiment: Annotated[
        str, typer.Option(envvar="KF_PIPELINES_DEFAULT_EXPERIMENT_NAME", help="Experiment to list it and its runs in.")
    ] = "globe",
    namespace: Namespace = "",
    service_account: Annotated[str, typer.Option(help="Service account of the runs' pods; by default the profile's.")] = "",
    backend: BackendVersion = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Start a pipeline again and again, by the server's clock. The same schedule given twice is one.

    Exit codes: 0 scheduled, listed or deleted, 2 bad input, 3 no answer in time.
    """
    from rich.console import Console

    from pipelines.remote.scheduling import Scheduling, Timing
    from pipelines.remote.server import Server

    def order(redactor: "Redactor") -> int:
        if not host:
            raise InputError("--host: give the address of the KFP server, or set KF_PIPELINES_ENDPOINT")
        if [bool(pipeline), show, bool(delete)].count(True) != 1:
            raise InputError("give a pipeline to schedule, or --list, or --delete NAME")
        server = Server(host, namespace, token_file, ca_file, backend)
        scheduling = Scheduling(server, experiment, Console(), redactor)
        if show:
            scheduling.show()
        elif delete:
            scheduling.delete(delete)
        else:
            if not cron:
                raise InputError('--cron: say when, such as --cron "0 3 * * *" for every night at three')
            given = parse_overrides(settings or [])
            timing = Timing(cron, name, max_concurrency, not catchup, replace)
            scheduling.create(pipeline, profile, given, service_account, timing)
        return SUCCEEDED

    raise typer.Exit(exit_code_of(order))
