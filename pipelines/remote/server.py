"""Where to submit, and how to log in: from the command's options to a connection."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from globe.console import printable
from globe.errors import InputError
from globe.redactor import Redactor
from pipelines.backends import find_backend
from pipelines.remote.access import Token, endpoint
from pipelines.remote.choice import Choice, choose
from pipelines.remote.client import Health, KfpApi
from pipelines.remote.connection import Connection, Limits
from pipelines.remote.package import Package


@dataclass(frozen=True)
class Server:
    """Where to submit, and how to log in."""

    host: str
    namespace: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None
    backend: str = ""
    """The version of KFP that it is, if the user says so."""
    limits: Limits = field(default_factory=Limits)

    def connect(self, console: Console, redactor: Redactor, environment: Mapping[str, str] = os.environ) -> KfpApi:
        """A connection, not yet used.

        Raises:
            InputError: The address or the certificates are wrong.
        """

        def say(text: str) -> None:
            print_line(console, redactor, "server", text)

        token = Token.find(self.token_file, environment)
        host = endpoint(self.host)
        connection = Connection(host, token, limits=self.limits, redactor=redactor, say=say, ca_file=self.ca_file)
        return KfpApi(connection, self.namespace)

    def choice(self, api: KfpApi, package: Package | None) -> Choice:
        """Ask the server what it is.

        Args:
            api: Its connection.
            package: The package that the user gave as a file, or None.

        Raises:
            InputError: It needs a namespace or the user's word for its version, or it is too old.
            NoAnswer: It is silent.
        """
        return choose(self.health(api), api.connection.host, self.backend, package)

    def number(self, api: KfpApi) -> tuple[int, ...]:
        """The server's version in numbers, for what needs none but can do more with one; empty if it is not known."""
        said = self.health(api).tag_name
        try:
            return find_backend(self.backend or said).number
        except InputError:
            return ()

    def health(self, api: KfpApi) -> Health:
        """Ask the server whether it is there.

        Raises:
            InputError: It needs a namespace.
            NoAnswer: It is silent.
        """
        health = api.health()
        if health.multi_user and not api.namespace:
            raise InputError(f"{api.connection.host}: this is a multi-user server; give your --namespace")
        return health


def print_line(console: Console, redactor: Redactor, label: str, text: str) -> None:
    """Print one line, which always starts with our own label and never with untrusted text."""
    line = redactor.hide(printable(f"{label:<11} {text}"))
    console.print(line, markup=False, highlight=False, soft_wrap=True)
