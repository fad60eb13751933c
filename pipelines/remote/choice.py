"""Which of the packages a server takes: by what it says of its version, or by what the user says of it."""

from dataclasses import dataclass

from globe.errors import InputError
from pipelines.backends import BACKENDS, Backend, find_backend
from pipelines.remote.client import Health
from pipelines.remote.package import Package

OPTION = "--backend"
_FROM_2_14 = "it answers as KFP 2.14 or newer does, whose releases say their number since 2.16; Kubeflow 1.11 has 2.15"
_BEFORE_2_14 = "it answers as a KFP before 2.14 does; Kubeflow 1.10 has 2.5, and older ones have none that is new enough"


SAYS_STORE_SINCE = (2, 14)
"""From here on a server says where it keeps pipelines (`apiserver/main.go`, and the UI's `handlers/healthz.ts`)."""


@dataclass(frozen=True)
class Choice:
    """A server's version, as far as it is known, and how.

    Attributes:
        backend: What the server can do; None if nobody says and the package is not ours.
        why: Where this comes from, in words.
    """

    backend: Backend | None
    why: str

    def line(self, package: Package) -> str:
        """The package that is taken, and what the server cannot do, in one line."""
        if self.backend is None:
            return f"{package.path}; {self.why}, and the package does not say for which one it is"
        made_for = f"for KFP {package.made_for}" if package.made_for else f"{package.path}, for a KFP that it does not name"
        lacks = "; ".join(lack.partition(":")[0] for lack in self.backend.lacks)
        return f"{made_for} ({self.why})" + (f"; this backend cannot {lacks}" if lacks else "")


def choose(health: Health, host: str, given: str, package: Package | None) -> Choice:
    """The version of KFP that a server is.

    Args:
        health: What the server says about itself.
        host: Its address, for messages.
        given: What the user says; it wins. Empty if nothing.
        package: The package that the user gave as a file, or None if one is made for the server.

    Raises:
        InputError: Too old a server, one that does not say while it matters, or one that is older than the package.
    """
    said = health.tag_name.strip()
    if given:
        backend = find_backend(given)
        if backend.number >= SAYS_STORE_SINCE and not health.pipeline_store:
            raise InputError(
                f"{OPTION} {given}: {host}: {_BEFORE_2_14}; it would skip claim, secrets and node selectors of a newer package "
                f"without a word. Behind an old UI, give the address of the API server itself"
            )
        choice = Choice(backend, f"{OPTION} {given}; the server says {said or 'nothing'}")
    elif _is_number(said):
        choice = Choice(_backend_of(said, host), f"the server says {said}")
    elif package is not None and not package.made_for:
        return Choice(None, "the server does not say its version")
    else:
        hint = _FROM_2_14 if health.pipeline_store else _BEFORE_2_14
        raise InputError(
            f"{host}: the server does not say its version (tag_name {said or 'missing'!r}): give {OPTION} VERSION, one of "
            f"{', '.join(BACKENDS)}; {hint}"
        )
    _check(package, choice, said or given)
    return choice


def _is_number(said: str) -> bool:
    return said.removeprefix("v")[:1].isdigit() and "." in said


def _backend_of(said: str, host: str) -> Backend:
    try:
        return find_backend(said)
    except InputError as error:
        raise InputError(f"{host}: {error}; if this is a vendor's own number, name KFP's with {OPTION} VERSION") from None


def _check(package: Package | None, choice: Choice, version: str) -> None:
    """Refuse a package for a newer backend: what an older one does not know, it skips without a word or refuses."""
    if package is None or not package.made_for or choice.backend is None:
        return
    made_for = tuple(map(int, package.made_for.split(".")))
    if made_for > choice.backend.number:
        name = package.name.removeprefix("globe-")
        raise InputError(
            f"{package.path}: made for KFP {package.made_for}, and the server is {version}, which would skip or refuse what it "
            f"does not know; give {name}, or pipelines/compiled/{choice.backend.folder}/{name}.yaml"
        )
