"""What the tests of `submit` share: a compiled pipeline, and the command, run in this process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipelines.remote.schedule import schedule
from pipelines.remote.submit import submit

from .kfp_api_double import KfpApiDouble

NOISE = ("KFP_", "KF_PIPELINES_", "GITHUB_", "AWS_")
"""Variables of whoever runs the tests that the command would look at."""


@dataclass
class Ended:
    """How the command ended."""

    code: int
    out: str
    err: str
    exception: BaseException | None = None

    @property
    def lines(self) -> list[str]:
        return [" ".join(line.split()) for line in self.out.splitlines()]


Command = Callable[..., Ended]


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    """A compiled pipeline."""
    from kfp import compiler

    from .small_pipeline import small_pipeline

    path = tmp_path_factory.mktemp("package") / "evaluation.yaml"
    compiler.Compiler().compile(small_pipeline, str(path))
    return path


@pytest.fixture
def clean_environment(monkeypatch) -> None:
    for name in list(os.environ):
        if name.startswith(NOISE) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def schedule_command(clean_environment) -> Command:
    """`schedule` on a server, with what a test gives."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(schedule)

    def schedule_command(server: KfpApiDouble, *given: str) -> Ended:
        result = CliRunner().invoke(app, [*map(str, given), "--host", server.url])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return schedule_command


@pytest.fixture
def command(package, clean_environment) -> Command:
    """`submit`, given the small pipeline, a model and a quick look, unless the test says otherwise."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(submit)

    def command(
        server: KfpApiDouble | str,
        *more: str,
        pipeline: Path | str = package,
        settings: str = "model=/models/m",
        env: dict[str, str] | None = None,
    ) -> Ended:
        host = server if isinstance(server, str) else server.url
        given = [str(pipeline), "--host", host, "--poll", "0.02s", *(["--set", settings] if settings else []), *more]
        result = CliRunner().invoke(app, given, env=env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return command
