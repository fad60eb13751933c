"""`python -m pipelines submit`: start a pipeline on a KFP server, follow it, and report to a CI job how it went."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from globe.console import one_line
from globe.errors import GlobeError, InputError
from globe.recipes.load import parse_overrides
from pipelines import BAD_INPUT, DEFAULT_PROFILE, FAILED, NO_ANSWER

if TYPE_CHECKING:
    from globe.redactor import Redactor

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}

ProfileName = Annotated[str, typer.Option(help="Profile with parameters and cluster; a compiled YAML has its own.")]
Namespace = Annotated[str, typer.Option(help="Your namespace, on a multi-user server.")]
BackendVersion = Annotated[
    str, typer.Option(metavar="VERSION", help="The server's version of KFP, such as 2.15, if it does not say so itself.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File with the token, read for each request; without it KFP_TOKEN is used, then a pod's service account."),
]
CaFile = Annotated[Path | None, typer.Option(help="PEM file with the authority of the server's certificate.")]


def submit(
    pipeline: Annotated[str, typer.Argument(help="training, evaluation or curation, or the path of a compiled YAML.")],
    host: Annotated[str, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="Address of the KFP server.")],
    profile: ProfileName = DEFAULT_PROFILE,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A pipeline parameter (model=URI) or a recipe's (evaluation.seed=1)."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end; the exit code says how it ended.")] = False,
    timeout: Annotated[
        str, typer.Option(help="How long to wait, such as 90m or 6h; after that the run goes on by itself.")
    ] = "24h",
    poll: Annotated[str, typer.Option(help="Time between two checks of the run.")] = "5s",
    patience: Annotated[str, typer.Option(help="How long the server may be silent before it counts as gone.")] = "5m",
    experiment: Annotated[
        str, typer.Option(envvar="KF_PIPELINES_DEFAULT_EXPERIMENT_NAME", help="Experiment to list the run in.")
    ] = "globe",
    name: Annotated[str, typer.Option(help="Name of the run; by default pipeline, time and a random suffix.")] = "",
    namespace: Namespace = "",
    service_account: Annotated[str, typer.Option(help="Service account of the run's pods; by default the profile's.")] = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    backend: BackendVersion = "",
    upload: Annotated[bool, typer.Option("--upload", help="Upload the pipeline as a version first, and run that.")] = False,
    summary: Annotated[
        Path | None, typer.Option(envvar="GITHUB_STEP_SUMMARY", help="Append a summary in Markdown to this file.")
    ] = None,
    result: Annotated[
        str,
        typer.Option(
            help="Path or s3:// URI for the evaluation's JSON: passed to the pipeline, read afterwards. {run} is the run's name."
        ),
    ] = "",
    cancel_on_interrupt: Annotated[
        bool, typer.Option("--cancel-on-interrupt", help="Ctrl-C and SIGTERM also end the run.")
    ] = False,
) -> None:
    """Run a pipeline on a KFP server.

    Exit codes: 0 succeeded (without --wait: started), 1 failed, rejected or canceled, 2 bad input, 3 no answer in time.
    """
    from rich.console import Console

    from pipelines.remote.connection import Limits
    from pipelines.remote.server import Server
    from pipelines.remote.submission import Order, Waiting, submit_run
    from pipelines.remote.wanted import Wanted

    def order(redactor: "Redactor") -> int:
        wanted = Wanted.find(pipeline, profile, parse_overrides(settings or []), service_account)
        limits = Limits(patience_s=seconds_of("--patience", patience))
        return submit_run(
            Order(wanted, experiment, name, upload, result),
            Server(host, namespace, token_file, ca_file, backend, limits),
            Waiting(wait, seconds_of("--timeout", timeout), seconds_of("--poll", poll), cancel_on_interrupt),
            summary=summary,
            console=Console(),
            redactor=redactor,
        )

    raise typer.Exit(exit_code_of(order))


def exit_code_of(order: Callable[["Redactor"], int]) -> int:
    """Do something on a server. Returns the exit code; whatever goes wrong is one line on stderr, without a secret in it."""
    from rich.console import Console

    from globe.redactor import Redactor

    redactor = Redactor(os.environ)
    for stream in (sys.stdout, sys.stderr):  # a server's message must not crash the command on an ASCII-only terminal
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return order(redactor)
    except GlobeError as error:
        text = f"error: {redactor.hide(one_line(str(error)))}"
        Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
        return exit_code(error)


def seconds_of(option: str, text: str) -> float:
    """A duration that a user typed: 45, 45s, 90m, 6h, 1.5d.

    Raises:
        InputError: Not a duration, or none at all.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise InputError(f"{option} {text!r}: not a duration; write it as 45s, 90m or 6h")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def exit_code(error: GlobeError) -> int:
    """The exit code of the command that ended with an error."""
    from pipelines.remote.connection import NoAnswer

    if isinstance(error, InputError):
        return BAD_INPUT
    return NO_ANSWER if isinstance(error, NoAnswer) else FAILED
