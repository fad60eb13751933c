"""How to reach a KFP server and log in: its address and the token."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from globe.errors import InputError

SERVICE_ACCOUNT_TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
TOKEN_VARIABLE = "KFP_TOKEN"
_ADDRESS = re.compile(r"https?://[\w.~:/%@\[\]-]+")


class Token:
    """A bearer token and where it comes from. A file is read again for each request, because others keep it up to date.

    Args:
        origin: What to call it in messages.
        path: File that holds it, or None.
        value: The token itself, if there is no file; empty for none.
    """

    def __init__(self, origin: str, path: Path | None = None, value: str = "") -> None:
        self.origin = origin
        self._path = path
        self._value = value

    @classmethod
    def find(cls, token_file: Path | None, environment: Mapping[str, str]) -> "Token":
        """Choose the source: the given file, KFP_TOKEN, a pod's service account volume, or none."""
        if token_file is not None:
            return cls(f"--token-file {token_file}", token_file)
        if environment.get(TOKEN_VARIABLE, "").strip():
            return cls(TOKEN_VARIABLE, value=environment[TOKEN_VARIABLE])
        volume = environment.get(SERVICE_ACCOUNT_TOKEN_VARIABLE, "")
        if volume:
            return cls(f"{SERVICE_ACCOUNT_TOKEN_VARIABLE} {volume}", Path(volume))
        if Path(SERVICE_ACCOUNT_TOKEN).is_file():
            return cls(SERVICE_ACCOUNT_TOKEN, Path(SERVICE_ACCOUNT_TOKEN))
        return cls("none")

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self._path is not None or bool(self._value.strip())

    @property
    def renewable(self) -> bool:
        """Whether reading it again can return another one."""
        return self._path is not None

    def read(self) -> str:
        """The token, or an empty text for none.

        Raises:
            InputError: The file is missing, unreadable or empty, or holds no token; its content is never named.
        """
        try:
            value = self._path.read_text(encoding="ascii").strip() if self._path else self._value.strip()
        except OSError as error:
            raise InputError(f"{self.origin}: {error.strerror or type(error).__name__}; give a file that holds a token") from None
        except UnicodeDecodeError:
            raise InputError(f"{self.origin}: not a token (it contains characters other than ASCII)") from None
        if self._path and not value:
            raise InputError(f"{self.origin}: the file is empty")
        if not value.isascii() or any(character.isspace() or not character.isprintable() for character in value):
            raise InputError(f"{self.origin}: not a token (it contains spaces, line breaks or characters other than ASCII)")
        return value


def endpoint(host: str) -> str:
    """The address of a KFP server, as requests need it.

    Args:
        host: What the user gave; without a scheme, https is meant.

    Returns:
        scheme://host[:port][/path], without a slash at the end.

    Raises:
        InputError: Not an http(s) address, or one with a password, a query or a fragment in it.
    """
    text = host.strip() if "://" in host else f"https://{host.strip()}"
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not _ADDRESS.fullmatch(text.partition("?")[0].partition("#")[0]):
        raise InputError("--host: not an address; write it as https://HOST[:PORT][/PATH]")
    if "@" in parts.netloc:
        raise InputError(f"--host: no user or password in the address; give a token in {TOKEN_VARIABLE} or with --token-file")
    if parts.query or parts.fragment:
        raise InputError("--host: the address ends before ? and #; copy it from the browser without them")
    return text.rstrip("/")
