"""What a user wants to run, checked as far as that is possible before the server has said what it is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.redactor import Redactor
from globe.storage.uris import address_of
from pipelines.backends import Backend
from pipelines.remote.evaluation_result import RESULT_PARAMETER
from pipelines.remote.package import Package


@dataclass(frozen=True)
class Wanted:
    """A pipeline and its arguments.

    Attributes:
        name: The pipeline's name on the server.
        arguments: Values of its parameters.
        parameters: Names of all its parameters.
        account: Service account of its pods; empty for the server's default.
        package: The package, if the user gave one as a file.
        compiled: Makes the package for a backend, if the user gave a name.
    """

    name: str
    arguments: Mapping[str, Any]
    parameters: frozenset[str]
    account: str = ""
    package: Package | None = None
    compiled: Callable[[Backend], Path] | None = None

    @classmethod
    def find(cls, pipeline: str, profile: str, settings: Mapping[str, Any], account: str = "") -> "Wanted":
        """What a user asks for on the command line.

        Args:
            pipeline: Name of a pipeline, or the path of a compiled YAML.
            profile: Profile whose cluster and parameters a named pipeline takes.
            settings: `--set` values.
            account: Service account of its pods; by default the profile's.

        Raises:
            InputError: No such pipeline, file, profile or parameter, or values that cannot work.
        """
        if pipeline.endswith((".yaml", ".yml")):
            package = Package.read(Path(pipeline))
            return cls(package.name, settings, frozenset(package.parameters), account, package)
        from pipelines.compile import arguments_for, cluster_of, temporary_package

        chosen, arguments = arguments_for(pipeline, profile, settings)
        cluster = cluster_of(profile)
        return cls(
            f"globe-{chosen.name}",
            arguments,
            frozenset(arguments),
            account or cluster.service_account,
            compiled=lambda backend: temporary_package(chosen, cluster, backend),
        )

    def checked(self, result: str, redactor: Redactor) -> "Wanted":
        """The same with a place for the evaluation's JSON.

        Args:
            result: Path or s3:// URI; empty for the one among the arguments, if any.
            redactor: Knows the secrets, none of which may be an argument.

        Raises:
            InputError: An argument that the package has no parameter for, of a wrong type, with a secret in it, or no address.
        """
        address_of(result)  # refuses addresses that could not be read
        told = {RESULT_PARAMETER: result} if result and RESULT_PARAMETER in self.parameters else {}
        wanted = replace(self, arguments={**self.arguments, **told})
        if self.package is not None:
            self.package.check(wanted.arguments)
        for name, value in wanted.arguments.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            if secret := redactor.name_in(text):
                raise InputError(f"{name}: it holds the value of {secret}; parameters are public, give the secret's name instead")
        return wanted

    @property
    def result(self) -> str:
        """The place for the evaluation's JSON among the arguments; empty for none."""
        given = self.arguments.get(RESULT_PARAMETER)
        return given if isinstance(given, str) else ""

    def packaged(self, backend: Backend | None) -> Package:
        """The package for a backend; one that was given as a file stays what it is."""
        if self.package is not None or self.compiled is None or backend is None:
            assert self.package is not None, "a pipeline by name is compiled for a backend that is known"
            return self.package
        package = Package.read(self.compiled(backend))
        package.check(self.arguments)
        return package
